import { randomBytes } from 'node:crypto';
import { open, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { delay } from './retry.ts';

/** A process, told from every other one, in this container and elsewhere. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  /** Which boot and which namespace the pid belongs to; empty where the system does not say. */
  readonly scope: string;
  /** Since boot: pids come again. */
  readonly startedAt: string;
}

/** An owner says this often that it lives, by touching its journal. */
export const HEARTBEAT_MS = 2000;
export const SILENCE_MS = 10_000;
const LONG_SILENCE_MS = 60_000;

export async function currentOwner(): Promise<Owner> {
  return { pid: process.pid, host: hostname(), scope: await readScope(), startedAt: await readStart(process.pid) };
}

async function readScope(): Promise<string> {
  try {
    return `${(await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}

/** Field 22 of the process's line; the name before it may hold blanks and brackets. Empty for a process that is gone. */
async function readStart(pid: number): Promise<string> {
  try {
    const line = await readFile(`/proc/${pid}/stat`, 'utf8');
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** Whether an owner in this container has ended; undefined for one elsewhere, of whom only its silence tells. */
export async function hasEndedHere(owner: Owner | undefined): Promise<boolean | undefined> {
  const here = await currentOwner();
  if (owner === undefined || here.scope === '' || owner.scope !== here.scope || owner.host !== here.host) return undefined;
  return owner.startedAt !== (await readStart(owner.pid));
}

/**
 * Whether the owner of `path` has ended. Known at once for a process of this container; of another one (a pod's init container that was started
 * again, a pod on another node) by its silence: that takes up to ten seconds. `beside` is a directory of the same file system.
 */
export async function hasEnded(owner: Owner | undefined, path: string, beside: string, signal: AbortSignal): Promise<boolean> {
  const known = await hasEndedHere(owner);
  if (known !== undefined) return known;
  const first = await modifiedAt(path);
  if (first === undefined || (await fileSystemTime(beside)) - first > LONG_SILENCE_MS) return true;
  for (let waited = 0; waited < SILENCE_MS; waited += HEARTBEAT_MS / 4) {
    await delay(HEARTBEAT_MS / 4, signal);
    const now = await modifiedAt(path);
    if (now === undefined) return true;
    if (now !== first) return false;
  }
  return true;
}

/** By the file system's own clock, which may be another machine's: owners write, and never name a time. */
export async function modifiedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}

/** Gives a file that is there the file system's time, by writing the first byte that it has already. Never makes one, and never rejects. */
export async function touch(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r+');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, 0);
      await handle.write(buffer, 0, bytesRead, 0);
    } finally {
      await handle.close();
    }
  } catch {
    // It is gone, or not ours any more.
  }
}

/** What the file system of a directory takes for now, in milliseconds; this machine's time where nothing can be written there. */
export async function fileSystemTime(dir: string): Promise<number> {
  const path = join(dir, `.clock-${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(path, '');
    return (await modifiedAt(path)) ?? Date.now();
  } catch {
    return Date.now();
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}
