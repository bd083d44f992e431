import { randomBytes } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { currentOwner, hasEndedHere, type Owner } from '../owner.ts';
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
  // Written, not touched: the time is then that of the file system, which is the same for everybody.
  const heartbeat = setInterval(() => {
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
  const now = await fileSystemTime(folders);
  const used = new Set<string>();
  for (const name of names) {
    const found = await look(join(folders.uses, name));
    if (found === undefined) continue;
    const hasEnded = (await hasEndedHere(parseOwner(found.text))) ?? now - found.mtimeMs > SILENCE_MS;
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

/** What the file system takes for now, in milliseconds: on a shared volume that is another machine's clock. */
export async function fileSystemTime(folders: CacheFolders): Promise<number> {
  const path = join(folders.root, `.clock-${randomBytes(6).toString('hex')}`);
  await writeFile(path, '');
  const found = await look(path);
  await rm(path, { force: true });
  return found?.mtimeMs ?? Date.now();
}
