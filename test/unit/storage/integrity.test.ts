import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashFile, parsePin, parseSha256 } from '../../../src/storage/integrity.ts';

let dir: string;
const idle = new AbortController().signal;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'integrity-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const MIB = 1024 * 1024;
const DIGEST = 'ab'.repeat(32);

describe('hashFile', () => {
  it.each([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])('hashes a file of %i bytes', async (size) => {
    const bytes = Buffer.alloc(size);
    for (let i = 0; i < size; i += 1000) bytes[i] = i % 251;
    await writeFile(join(dir, 'f'), bytes);
    expect(await hashFile(join(dir, 'f'), idle)).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('rejects with the reason of an aborted signal', async () => {
    await writeFile(join(dir, 'f'), 'x');
    await expect(hashFile(join(dir, 'f'), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });

  it('rejects when the file is missing or a directory', async () => {
    await expect(hashFile(join(dir, 'f'), idle)).rejects.toThrow('ENOENT');
    await expect(hashFile(dir, idle)).rejects.toThrow('EISDIR');
  });
});

describe('parsePin', () => {
  it.each([
    ['s3://b/k', 's3://b/k', undefined],
    ['/models/what?', '/models/what?', undefined],
    ['https://h/m.zip?sig=a%2Bb', 'https://h/m.zip?sig=a%2Bb', undefined],
    [`s3://b/k?sha256=${DIGEST}`, 's3://b/k', DIGEST],
    [`s3://b/k?sha256=${DIGEST.toUpperCase()}`, 's3://b/k', DIGEST],
    [`https://h/m?a=%20&sha256=${DIGEST}&b=c&&d#frag?x`, 'https://h/m?a=%20&b=c&&d#frag?x', DIGEST],
    [`https://h/m?sha256=${DIGEST}&sha256=${DIGEST}`, 'https://h/m', DIGEST],
    [`https://h/m#?sha256=${DIGEST}`, `https://h/m#?sha256=${DIGEST}`, undefined],
    [`https://h/m?xsha256=${DIGEST}`, `https://h/m?xsha256=${DIGEST}`, undefined],
  ])('of %s leaves %s', (uri, rest, sha256) => {
    expect(parsePin(uri)).toEqual(sha256 === undefined ? { uri: rest } : { uri: rest, sha256 });
  });

  it('leaves every URI without a pin as it is', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (uri) => {
        fc.pre(!uri.includes('sha256='));
        expect(parsePin(uri)).toEqual({ uri });
      }),
      { numRuns: 30 },
    );
  });

  it('refuses a pin that is no digest, without showing credentials', () => {
    expect(() => parsePin('https://u:p@h/m?sig=secret&sha256=abc')).toThrow(
      /^Cannot check https:\/\/h\/m: sha256 must be 64 hexadecimal digits, got 3 characters; sha256sum prints the digest of a file$/,
    );
    expect(() => parsePin(`s3://b/k?sha256=${'g'.repeat(64)}`)).toThrow('sha256 must be 64 hexadecimal digits');
  });

  it('refuses two pins that differ', () => {
    expect(() => parsePin(`s3://b/k?sha256=${DIGEST}&sha256=${'0'.repeat(64)}`)).toThrow(
      /^Cannot check s3:\/\/b\/k: the URI pins two different digests, keep one$/,
    );
  });
});

describe('parseSha256', () => {
  it('names the option it was given by', () => {
    expect(parseSha256(` ${DIGEST}\n`, '--expect_sha256')).toBe(DIGEST);
    expect(() => parseSha256('', '--expect_sha256')).toThrow('Cannot check --expect_sha256: sha256 must be 64 hexadecimal digits, got 0 characters');
  });
});
