import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isServingError } from '../../../src/core/errors.ts';
import { parseSums, verifySha256Sums } from '../../../src/storage/integrity-sums.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sums-'));
  await mkdir(join(dir, '1'));
  await writeFile(join(dir, '1/model.onnx'), 'graph');
  await writeFile(join(dir, 'labels.txt'), 'labels');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex');
const GRAPH = sha256('graph');
const sums = (...lines: string[]): Promise<void> => writeFile(join(dir, 'SHA256SUMS'), lines.join('\n') + '\n');

async function refusal(): Promise<string> {
  const thrown: unknown = await verifySha256Sums(dir).catch((error: unknown) => error);
  if (!isServingError(thrown)) throw new Error('expected a ServingError', { cause: thrown });
  expect(thrown.message).not.toContain('\n');
  return thrown.message;
}

describe('verifySha256Sums', () => {
  it('calls every file unlisted where there is no SHA256SUMS', async () => {
    expect(await verifySha256Sums(dir)).toEqual({ verified: [], unlisted: ['1/model.onnx', 'labels.txt'] });
  });

  it('tells verified from unlisted files', async () => {
    await sums(`${GRAPH}  ./1/model.onnx`);
    expect(await verifySha256Sums(dir)).toEqual({ verified: ['1/model.onnx'], unlisted: ['labels.txt'] });
  });

  it('reads binary marks, tags, upper case, comments and carriage returns', async () => {
    await sums('# made by hand\r', `${GRAPH.toUpperCase()} *1/model.onnx\r`, '', `SHA256 (labels.txt) = ${sha256('labels')}`);
    expect(await verifySha256Sums(dir)).toEqual({ verified: ['1/model.onnx', 'labels.txt'], unlisted: [] });
  });

  it('reads escaped names as sha256sum writes them', async () => {
    await writeFile(join(dir, 'a\\b\nc'), 'odd');
    await sums(`\\${sha256('odd')}  a\\\\b\\nc`);
    expect((await verifySha256Sums(dir)).verified).toEqual(['a\\b\nc']);
  });

  it('hashes through links, and does not walk through them', async () => {
    await symlink('1', join(dir, 'latest'));
    await sums(`${GRAPH}  latest/model.onnx`);
    expect(await verifySha256Sums(dir)).toEqual({ verified: ['latest/model.onnx'], unlisted: ['1/model.onnx', 'labels.txt', 'latest'] });
  });

  it('names the file whose digest differs, with both digests', async () => {
    await sums(`${sha256('other')}  1/model.onnx`);
    expect(await refusal()).toBe(
      `Cannot verify SHA256SUMS: expected "1/model.onnx" to have ${sha256('other')}, got ${GRAPH}; upload the file again or write SHA256SUMS anew`,
    );
  });

  it.each([
    [`${GRAPH}  lost`, 'it lists "lost", which is missing; upload the file or list what is there'],
    [`${GRAPH}  1`, 'it lists "1", which is no file; list files only'],
    [`${GRAPH}  ../labels.txt`, 'line 1 names "../labels.txt", which is no path inside the directory; write paths relative to it'],
    [`${GRAPH}  /etc/passwd`, 'line 1 names "/etc/passwd", which is no path inside the directory; write paths relative to it'],
    [`${GRAPH}  ./`, 'line 1 names "./", which is no path inside the directory; write paths relative to it'],
    [`\n${GRAPH} labels.txt`, 'line 2 is not "<64 hexadecimal digits>  <path>"; write the file with sha256sum'],
    ['d41d8cd98f00b204e9800998ecf8427e  labels.txt', 'line 1 is not "<64 hexadecimal digits>  <path>"; write the file with sha256sum'],
    [`${GRAPH}  a\n${sha256('x')}  ./a`, 'line 2 gives "a" a second digest; list each file once'],
  ])('refuses %j', async (lines, problem) => {
    await sums(lines);
    expect(await refusal()).toBe(`Cannot verify SHA256SUMS: ${problem}`);
  });

  it('refuses a SHA256SUMS that is no file', async () => {
    await mkdir(join(dir, 'SHA256SUMS'));
    expect(await refusal()).toBe('Cannot verify SHA256SUMS: it is no file; put a file there or remove it');
  });

  it('rejects with the reason of an aborted signal', async () => {
    await sums(`${GRAPH}  1/model.onnx`);
    await expect(verifySha256Sums(dir, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('parseSums', () => {
  it('keeps names with spaces and stars', () => {
    expect([...parseSums(`${GRAPH}   a b*\n`)]).toEqual([[' a b*', GRAPH]]);
  });
});
