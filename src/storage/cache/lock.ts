import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, unlink } from 'node:fs/promises';
import { modifiedAt, currentOwner, hasEndedHere, HEARTBEAT_MS, SILENCE_MS, touch, type Owner } from '../owner.ts';
import { delay } from '../retry.ts';

/** What a lock's file says. */
export interface LockRecord {
  readonly owner: Owner;
  /** Where its holder works, to be removed when the holder has ended. */
  readonly staging: string;
}

export interface Lock {
  release(): Promise<void>;
}

export interface LockWait {
  readonly signal: AbortSignal;
  /** What the lock is for has been done by somebody else. */
  isDone(): Promise<boolean>;
  /** The holder has ended without releasing it. */
  abandoned(record: LockRecord): Promise<void>;
}

const LOOK_AGAIN_MS = 100;

/**
 * Takes the lock, waiting for whoever has it, or resolves with undefined when `isDone`. A holder in this container that has ended loses it at once, one
 * elsewhere after ten seconds of silence. The lock keeps two from doing the same work: after a takeover two may do it all the same, and what it
 * leads to must be safe for that.
 */
export async function lockOrWait(path: string, staging: string, wait: LockWait): Promise<Lock | undefined> {
  let seen: (LockFile & { readonly at: number }) | undefined;
  for (;;) {
    wait.signal.throwIfAborted();
    if (await wait.isDone()) return undefined;
    const lock = await tryLock(path, staging);
    if (lock !== undefined) return lock;
    const found = await look(path);
    if (found !== undefined) {
      if (seen?.text !== found.text || seen.modifiedMs !== found.modifiedMs) seen = { ...found, at: performance.now() };
      const record = parseRecord(found.text);
      const hasEnded = (await hasEndedHere(record?.owner)) ?? performance.now() - seen.at > SILENCE_MS;
      if (hasEnded && (await removeLock(path, found.text)) && record !== undefined) await wait.abandoned(record);
      if (hasEnded) continue;
    }
    await delay(LOOK_AGAIN_MS, wait.signal);
  }
}

async function tryLock(path: string, staging: string): Promise<Lock | undefined> {
  const record: LockRecord = { owner: await currentOwner(), staging };
  const text = `${JSON.stringify(record)}\n`;
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      await handle.writeFile(text);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined;
    throw error;
  }
  const heartbeat = setInterval(() => {
    void touch(path);
  }, HEARTBEAT_MS).unref();
  return {
    release: async () => {
      clearInterval(heartbeat);
      await removeLock(path, text);
    },
  };
}

/** Removes the lock that says `text`, and no other. False when it is another by now. */
export async function removeLock(path: string, text: string): Promise<boolean> {
  if ((await look(path))?.text !== text) return false;
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch {
    return false;
  }
  // Between the look and the rename somebody else may have done the same and taken the lock: it gets back what is its own.
  const isRight = (await look(aside))?.text === text;
  if (isRight) await unlink(aside).catch(() => undefined);
  else await rename(aside, path).catch(() => rm(aside, { force: true }));
  return isRight;
}

interface LockFile {
  readonly text: string;
  readonly modifiedMs: number;
}

export async function look(path: string): Promise<LockFile | undefined> {
  const modifiedMs = await modifiedAt(path);
  if (modifiedMs === undefined) return undefined;
  try {
    return { text: await readFile(path, 'utf8'), modifiedMs };
  } catch {
    return undefined;
  }
}

/** Undefined for one whose writer ended, or has not come to it yet. */
export function parseRecord(text: string): LockRecord | undefined {
  try {
    const { owner, staging } = JSON.parse(text) as Partial<Record<keyof LockRecord, unknown>>;
    if (typeof owner !== 'object' || owner === null || typeof staging !== 'string' || !/^[\w-]+$/.test(staging)) return undefined;
    return { owner: owner as Owner, staging };
  } catch {
    return undefined;
  }
}
