import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freeBytes } from '../disk.ts';
import { modifiedAt, fileSystemTime, hasEndedHere } from '../owner.ts';
import type { CacheFolders } from './cache-folders.ts';
import { look, parseRecord, removeLock } from './lock.ts';
import { MANIFEST_NAME, readManifest } from './manifest.ts';
import { usedKeys } from './use.ts';

interface Candidate {
  readonly key: string;
  readonly bytes: number;
  readonly usedAt: number;
}

/**
 * Removes entries, the least recently used first and none that is in use, until `needed` more bytes stay within `maxBytes` (0: no bound) and the volume has
 * room for them. Returns whether they stay within the bound, and what was removed.
 */
export async function makeRoom(
  folders: CacheFolders,
  needed: number,
  maxBytes: number,
): Promise<{ readonly fits: boolean; readonly evicted: string[] }> {
  const candidates = await listEntries(folders);
  let total = candidates.reduce((sum, { bytes }) => sum + bytes, 0);
  const isOver = (): boolean => maxBytes > 0 && total + needed > maxBytes;
  const evicted: string[] = [];
  // What can never fit costs nobody else's entry.
  if (maxBytes > 0 && needed > maxBytes) return { fits: false, evicted };
  const used = await usedKeys(folders);
  for (const { key, bytes } of candidates) {
    if (!isOver() && (await freeBytes(folders.root)) >= needed) break;
    if (used.has(key) || !(await evict(folders, key))) continue;
    total -= bytes;
    evicted.push(key);
  }
  return { fits: !isOver(), evicted };
}

async function listEntries(folders: CacheFolders): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const key of await readdir(folders.entries)) {
    const dir = join(folders.entries, key);
    const manifest = await readManifest(dir);
    const usedAt = (await modifiedAt(join(dir, MANIFEST_NAME))) ?? 0;
    candidates.push({ key, bytes: manifest?.bytes ?? 0, usedAt });
  }
  return candidates.sort((a, b) => a.usedAt - b.usedAt);
}

/**
 * Removes an entry that nobody uses. Who wants to use one marks that first and looks for the entry then; here it goes out of sight first and the
 * marks are looked at then: so either they find nothing, or their mark is seen and the entry comes back.
 */
export async function evict(folders: CacheFolders, key: string): Promise<boolean> {
  const aside = join(folders.staging, `evicted-${randomBytes(6).toString('hex')}`);
  const entry = join(folders.entries, key);
  try {
    await rename(entry, aside);
  } catch {
    return false;
  }
  const isUsed = (await usedKeys(folders)).has(key);
  // When somebody has brought it anew meanwhile, that one stays.
  if (
    isUsed &&
    (await rename(aside, entry).then(
      () => true,
      () => false,
    ))
  )
    return false;
  await rm(aside, { recursive: true, force: true });
  return !isUsed;
}

/** Beyond any download that still shows signs of life by the time of its lock. */
const LONG_SILENCE_MS = 300_000;

/** Removes what those have left who ended in the middle of something: locks, half-made and half-removed entries. */
export async function sweep(folders: CacheFolders): Promise<void> {
  const now = await fileSystemTime(folders.root);
  const working = new Set<string>();
  for (const name of await readdir(folders.locks)) {
    const path = join(folders.locks, name);
    const found = await look(path);
    if (found === undefined) continue;
    const record = parseRecord(found.text);
    const hasEnded = (await hasEndedHere(record?.owner)) ?? now - found.modifiedMs > LONG_SILENCE_MS;
    if (!hasEnded) working.add(record?.staging ?? '');
    else if ((await removeLock(path, found.text)) && record !== undefined)
      await rm(join(folders.staging, record.staging), { recursive: true, force: true });
  }
  for (const name of await readdir(folders.staging)) {
    if (working.has(name)) continue;
    const path = join(folders.staging, name);
    const modifiedMs = await modifiedAt(path);
    // One that is being evicted, or whose lock was taken after it was looked for, is young.
    const isOld = modifiedMs !== undefined && now - modifiedMs > LONG_SILENCE_MS;
    if (isOld) await rm(path, { recursive: true, force: true });
  }
}
