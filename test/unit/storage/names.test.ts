import { describe, expect, it } from 'vitest';
import { ServingError } from '../../../src/core/errors.ts';
import { nameUri, showUri } from '../../../src/storage/failure.ts';
import { readPatterns } from '../../../src/storage/patterns.ts';
import { checkPaths, pathBelow } from '../../../src/storage/remote-path.ts';
import { backoffDelay } from '../../../src/storage/retry.ts';

const files = (...paths: string[]): Parameters<typeof checkPaths>[0] => paths.map((path) => ({ path, key: path, size: 1 }));

describe('pathBelow', () => {
  it.each([
    ['a/b', 'a/b/c/d', 'c/d'],
    ['a/b/', 'a/b/c', 'c'],
    ['', 'a/b', 'a/b'],
    ['a/b.onnx', 'a/b.onnx', 'b.onnx'],
    ['a/b', 'a/bc/d', undefined],
    ['model', 'model/model.pkl', 'model.pkl'],
  ])('%j makes of %j %j', (prefix, key, expected) => {
    expect(pathBelow(prefix, key)).toBe(expected);
  });
});

describe('checkPaths', () => {
  it.each(['../x', 'a/../../x', './x', 'a//x', '/x', 'a\nb', '', '.kserve-node-download/journal.json', 'n'.repeat(256)])('refuses %j', (path) => {
    expect(() => {
      checkPaths(files(path), 's3://b/m');
    }).toThrow(/^Cannot download s3:\/\/b\/m: refused object/);
  });

  it('refuses a name twice, and one that is a file and a folder', () => {
    expect(() => {
      checkPaths(files('a', 'a'), 's3://b/m');
    }).toThrow('got two');
    expect(() => {
      checkPaths(files('a', 'a/b/c'), 's3://b/m');
    }).toThrow('expected "a" to be a file or a folder');
  });

  it('takes what only looks odd', () => {
    checkPaths(files('a', 'a b', '..a/b..', 'é/%2e', '.hidden'), 's3://b/m');
  });
});

describe('readPatterns', () => {
  it.each([
    ['["*.onnx"]', '', 'a/b.onnx', true],
    ['*.onnx, *.json', '', 'b.json', true],
    ['*.onnx', '', 'b.txt', false],
    ['', 'logs/', 'logs/a/b', false],
    ['', '[!a]*', 'b', false],
    ['', 'file-?.[0-9]', 'file-x.7', false],
    ['', 'a.b', 'axb', true],
  ])('allow %j and ignore %j: %j passes: %j', (allow, ignore, path, expected) => {
    expect(readPatterns({ STORAGE_ALLOW_PATTERNS: allow, STORAGE_IGNORE_PATTERNS: ignore }, 's3://b')(path)).toBe(expected);
  });
});

describe('backoffDelay', () => {
  it('doubles up to a bound, with jitter, and is no shorter than what the store asks for', () => {
    expect([1, 2, 3].map((failures) => backoffDelay(failures, 0, () => 1))).toEqual([200, 400, 800]);
    expect(backoffDelay(1, 0, () => 0)).toBe(100);
    expect(backoffDelay(30, 0, () => 1)).toBe(10_000);
    expect(backoffDelay(1, 3000)).toBe(3000);
  });
});

describe('nameUri', () => {
  it('puts the URI, without its credentials, before what is wrong with what arrived', () => {
    const broken = new ServingError('invalid_request', 'Cannot unpack "m.zip": it is damaged; pack it again');
    expect(nameUri(broken, 'https://me:secret@host/m.zip?sig=secret')).toMatchObject({
      reason: 'invalid_request',
      message: 'Cannot download https://host/m.zip: cannot unpack "m.zip": it is damaged; pack it again',
    });
  });

  it('leaves what names it already, and what nobody foresaw', () => {
    const named = new ServingError('conflict', 'Cannot download s3://b/m to /models: no room left');
    const unforeseen = new Error('what');
    expect([nameUri(named, 's3://b/m'), nameUri(unforeseen, 's3://b/m')]).toEqual([named, unforeseen]);
  });
});

describe('showUri', () => {
  it('shows neither credentials nor signatures', () => {
    expect(showUri('https://me:secret@host/m.zip?sig=secret#x')).toBe('https://host/m.zip');
  });
});
