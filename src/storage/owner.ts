import { readFile, readlink, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
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

/** An owner says this often that it lives, by the time of its journal. */
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
 * again, a pod on another node) by its silence: that takes up to ten seconds.
 */
export async function hasEnded(owner: Owner | undefined, path: string, signal: AbortSignal): Promise<boolean> {
  const known = await hasEndedHere(owner);
  if (known !== undefined) return known;
  const first = await modifiedAt(path);
  if (first === undefined || Date.now() - first > LONG_SILENCE_MS) return true;
  for (let waited = 0; waited < SILENCE_MS; waited += HEARTBEAT_MS / 4) {
    await delay(HEARTBEAT_MS / 4, signal);
    const now = await modifiedAt(path);
    if (now === undefined) return true;
    if (now !== first) return false;
  }
  return true;
}

/** By the file's own clock, which may be another machine's. */
async function modifiedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}
