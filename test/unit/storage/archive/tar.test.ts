import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEFAULT_ARCHIVE_LIMITS, Meter } from '../../../../src/storage/archive/limits.ts';
import { createRefuse } from '../../../../src/storage/archive/refusal.ts';
import { readTar } from '../../../../src/storage/archive/tar.ts';
import { tarBytes } from '../../../support/archive-bytes.ts';

let sandbox: string;

beforeEach(async () => {
  sandbox = await mkdtemp(join(tmpdir(), 'tar-'));
});
afterEach(() => rm(sandbox, { recursive: true, force: true }));

it('says why an entry cannot be read to one who comes after the parser has failed', async () => {
  const file = join(sandbox, 'a.tar');
  const bytes = tarBytes([{ name: 'a', content: 'x'.repeat(2000) }]).subarray(0, 1024);
  await writeFile(file, bytes);
  const refuse = createRefuse(file);
  const entries = readTar(file, false, new Meter(DEFAULT_ARCHIVE_LIMITS, bytes.length, refuse), refuse, new AbortController().signal);
  const first = await entries.next();
  if (first.done === true) throw new Error('expected an entry');
  // Long enough for the end of 1,024 bytes to arrive; the answer is the same when it has not.
  await pause(50);
  const read = async (): Promise<void> => {
    for await (const chunk of first.value.content()) expect(chunk.length).toBeGreaterThan(0);
  };
  await expect(read()).rejects.toThrow('Unexpected end of data');
  await entries.return(undefined);
});
