import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { STAGING_NAME } from '../core/staging-name.ts';
import { cannotDownload } from './failure.ts';
import { JOURNAL_NAME, readJournal, writeJournal, type Journal } from './journal.ts';
import { currentOwner, hasEnded, HEARTBEAT_MS, touch } from './owner.ts';
import { planPlacing, removePlaced } from './placing.ts';

/** Where a download grows until it is whole. One of `commit` and `abandon` must be called, once. */
export interface Staging {
  /** Exists and is empty; its files become the destination's. */
  readonly dir: string;
  /** For files that are no part of the model, such as an archive that is to be unpacked. Goes with the staging. */
  readonly scratch: string;
  commit(): Promise<void>;
  abandon(): Promise<void>;
}

export interface UnfinishedDownload {
  readonly uri: string | undefined;
  readonly startedAt: string | undefined;
}

/** What a download that was never finished left in a directory: it must not be taken for a model. Undefined when there is nothing. */
export async function findUnfinishedDownload(dir: string): Promise<UnfinishedDownload | undefined> {
  const found = (await readdir(dir).catch(() => [])).find((name) => name.startsWith(STAGING_NAME));
  if (found === undefined) return undefined;
  const journal = await readJournal(join(dir, found));
  return { uri: journal?.uri, startedAt: journal?.startedAt };
}

/**
 * A new destination is made by one rename of a directory beside it. One that is there already (a mounted volume cannot be renamed) gets its files
 * from a directory inside it, `.kserve-node-download`, which is removed last: as long as it is there, the destination is not whole.
 */
export async function openStaging(
  destination: string,
  uri: string,
  options: { readonly signal: AbortSignal; readonly isDurable: boolean },
): Promise<Staging> {
  const target = resolve(destination);
  const isNew = await isMissing(target, uri);
  if (isNew) await mkdir(dirname(target), { recursive: true });
  const root = isNew ? join(dirname(target), `.${basename(target)}${STAGING_NAME}`) : join(target, STAGING_NAME);
  const old = await claim(root, target, uri, options.signal);
  const journal: Journal = { uri, owner: await currentOwner(), startedAt: new Date().toISOString() };
  await writeJournal(root, journal);
  // Only now: until there is a journal of ours, that of the download before us keeps the destination from being used.
  for (const stale of old) {
    if (!isNew) await removePlaced(target, stale, await readJournal(stale));
    await rm(stale, { recursive: true, force: true });
  }
  const dir = join(root, 'files');
  const scratch = join(root, 'scratch');
  await mkdir(dir);
  await mkdir(scratch);
  const heartbeat = setInterval(() => {
    void touch(join(root, JOURNAL_NAME));
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    dir,
    scratch,
    commit: async () => {
      if (options.isDurable) await syncFolders(dir);
      if (isNew) await placeNew(dir, target, uri);
      else await placeInside({ dir, target, root, journal, uri });
      if (options.isDurable) await syncFolder(isNew ? dirname(target) : target);
      clearInterval(heartbeat);
      await removeStaging(root);
    },
    abandon: async () => {
      clearInterval(heartbeat);
      await removeStaging(root);
    },
  };
}

async function isMissing(target: string, uri: string): Promise<boolean> {
  try {
    if ((await stat(target)).isDirectory()) return false;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true;
    throw error;
  }
  throw cannotDownload('conflict', uri, `expected ${target} to be a directory or new, got a file: name another destination`);
}

/** Makes `root`, which belongs to us then. What ended downloads left there is moved aside and returned. */
async function claim(root: string, target: string, uri: string, signal: AbortSignal): Promise<readonly string[]> {
  for (;;) {
    try {
      await mkdir(root);
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const journal = await readJournal(root);
    if (!(await hasEnded(journal?.owner, journal === undefined ? root : join(root, JOURNAL_NAME), dirname(root), signal))) {
      const { pid = 0, host = '' } = journal?.owner ?? {};
      throw cannotDownload(
        'conflict',
        uri,
        `another download (process ${pid} on ${host}) writes to ${target}: wait for it or name another destination`,
      );
    }
    // One of several that see this wins the rename; the others find nothing and look again.
    await rename(root, `${root}-${randomBytes(6).toString('hex')}`).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    });
  }
  const names = await readdir(dirname(root));
  return names.filter((name) => name.startsWith(`${basename(root)}-`)).map((name) => join(dirname(root), name));
}

async function placeNew(dir: string, target: string, uri: string): Promise<void> {
  try {
    await rename(dir, target);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw cannotDownload('conflict', uri, `${target} did not exist when the download began and does now: download again`, { cause: error });
  }
}

interface Placing {
  readonly dir: string;
  readonly target: string;
  readonly root: string;
  readonly journal: Journal;
  readonly uri: string;
}

async function placeInside({ dir, target, root, journal, uri }: Placing): Promise<void> {
  const placing = await planPlacing(dir, target, uri);
  await writeJournal(root, { ...journal, placing });
  for (const path of placing) await rename(join(dir, path), join(target, path));
}

/** The journal goes last. */
async function removeStaging(root: string): Promise<void> {
  for (const name of await readdir(root)) if (name !== JOURNAL_NAME) await rm(join(root, name), { recursive: true, force: true });
  await rm(root, { recursive: true, force: true });
}

async function syncFolders(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const path = join(dir, name);
    if ((await lstat(path)).isDirectory()) await syncFolders(path);
  }
  await syncFolder(dir);
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
