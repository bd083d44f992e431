import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readBuildId } from '../../../src/executor/build-id.ts';

describe('readBuildId', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'build-id-'));
    writeFileSync(join(folder, 'child.js'), 'one');
    utimesSync(join(folder, 'child.js'), 1, 1);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('is the same until a file beside the entry changes', () => {
    const entry = join(folder, 'child.js');
    const before = readBuildId(entry);
    expect(readBuildId(entry)).toBe(before);
    writeFileSync(join(folder, 'frame.js'), '');
    expect(readBuildId(entry)).not.toBe(before);
  });

  test('changes with the time of a file', () => {
    const entry = join(folder, 'child.js');
    const before = readBuildId(entry);
    utimesSync(entry, 2, 2);
    expect(readBuildId(entry)).not.toBe(before);
  });

  test('throws an error that names the folder when it is not there', () => {
    expect(() => readBuildId(join(folder, 'missing', 'child.js'))).toThrow(/missing/);
  });
});
