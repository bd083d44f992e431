import { randomBytes } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { currentOwner, fileSystemTime, hasEndedHere, type Owner } from '../owner.ts';
import type { CacheFolders } from './cache-folders.ts';
import { look } from './lock.ts';

/** The mark of somebody who needs an entry: as long as it is there, the entry stays. */
export interface Use {
  release(): Promise<void>;
}

const HEARTBEAT_MS = 30_000;
/** Of somebody in another container; much longer than a heartbeat, since an entry must never go while it is served. */
const SILENCE_MS = 300_000;

export async function markUse(folders: CacheFolders, key: string): Promise<Use> {
  const path = join(folders.uses, `${key}.${randomBytes(6).toString('hex')}`);
  const text = JSON.stringify(await currentOwner());
  await writeFile(path, text, { mode: 0o600 });
  const heartbeat = setInterval(() => {
    // Not a touch: a mark that somebody took for abandoned comes back.
    writeFile(path, text, { mode: 0o600 }).catch(() => undefined);
  }, HEARTBEAT_MS).unref();
  return {
    release: async () => {
      clearInterval(heartbeat);
      await rm(path, { force: true });
    },
  };
}

/** Keys that somebody needs. Marks of those who have ended are removed. */
export async function usedKeys(folders: CacheFolders): Promise<ReadonlySet<string>> {
  const names = await readdir(folders.uses);
  if (names.length === 0) return new Set();
  const now = await fileSystemTime(folders.root);
  const used = new Set<string>();
  for (const name of names) {
    const found = await look(join(folders.uses, name));
    if (found === undefined) continue;
    const hasEnded = (await hasEndedHere(parseOwner(found.text))) ?? now - found.modifiedMs > SILENCE_MS;
    if (hasEnded) await rm(join(folders.uses, name), { force: true });
    else used.add(name.slice(0, name.indexOf('.')));
  }
  return used;
}

function parseOwner(text: string): Owner | undefined {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return undefined;
  }
}
