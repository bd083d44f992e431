import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeTerminationLog } from '../../../src/cli/termination-log.ts';

describe('writeTerminationLog', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'termination-log-'));
  });

  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('replaces what the file holds', () => {
    const path = join(dir, 'log');
    writeFileSync(path, 'an older and longer reason');
    writeTerminationLog('reason\n', path);
    expect(readFileSync(path, 'utf8')).toBe('reason\n');
  });

  it('writes no more than Kubernetes keeps', () => {
    const path = join(dir, 'log');
    writeFileSync(path, '');
    writeTerminationLog('x'.repeat(10_000), path);
    expect(readFileSync(path)).toHaveLength(4096);
  });

  it('makes no file where none is, and ignores what cannot be written', () => {
    writeTerminationLog('reason', join(dir, 'log'));
    writeTerminationLog('reason', dir);
    expect(existsSync(join(dir, 'log'))).toBe(false);
  });
});
