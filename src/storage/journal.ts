import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { STAGING_NAME } from '../core/staging-name.ts';
import type { Owner } from './owner.ts';

/** Stands in the staging directory from its first moment to its last. */
export interface Journal {
  readonly uri: string;
  readonly owner: Owner;
  readonly startedAt: string;
  /** Entries of the destination that are being replaced; absent while it is as it was. */
  readonly placing?: readonly string[];
}

export const JOURNAL_NAME = 'journal.json';

/** All or nothing, and on disk when it returns. */
export async function writeJournal(staging: string, journal: Journal): Promise<void> {
  const path = join(staging, JOURNAL_NAME);
  const handle = await open(`${path}.new`, 'w');
  try {
    await handle.writeFile(`${JSON.stringify(journal)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
}

/** Undefined when there is none, or none that can be read: its writer ended before it was there. */
export async function readJournal(staging: string): Promise<Journal | undefined> {
  try {
    const journal: unknown = JSON.parse(await readFile(join(staging, JOURNAL_NAME), 'utf8'));
    return isJournal(journal) ? journal : undefined;
  } catch {
    return undefined;
  }
}

function isJournal(value: unknown): value is Journal {
  if (typeof value !== 'object' || value === null) return false;
  const { uri, owner, placing = [] } = value as Partial<Record<keyof Journal, unknown>>;
  if (typeof uri !== 'string' || typeof owner !== 'object' || owner === null) return false;
  // What a destroyed journal names must not lead anybody out of the destination.
  return Array.isArray(placing) && placing.every((path) => typeof path === 'string' && isInside(path));
}

function isInside(path: string): boolean {
  const segments = path.split('/');
  return !segments.includes('..') && !segments.includes('') && !segments.includes('.') && segments[0] !== STAGING_NAME;
}
