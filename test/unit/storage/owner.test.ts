import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { currentOwner, fileSystemTime, hasEnded, modifiedAt, touch } from '../../../src/storage/owner.ts';

const signal = new AbortController().signal;
const HOUR_MS = 3_600_000;

let dir = '';
let path = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-owner-'));
  path = join(dir, 'journal.json');
  writeFileSync(path, '{"owner":{}}');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const setTime = (offsetMs: number): void => {
  const then = new Date(Date.now() + offsetMs);
  utimesSync(path, then, then);
};

describe('touch', () => {
  it.each([-HOUR_MS, HOUR_MS])("gives a file that is %i ms off the file system's own time and leaves its content", async (offsetMs) => {
    setTime(offsetMs);
    const before = await fileSystemTime(dir);
    await touch(path);
    const after = await fileSystemTime(dir);
    expect(await modifiedAt(path)).toBeGreaterThanOrEqual(before);
    expect(await modifiedAt(path)).toBeLessThanOrEqual(after);
    expect(readFileSync(path, 'utf8')).toBe('{"owner":{}}');
  });

  it('makes no file, and leaves an empty one empty', async () => {
    rmSync(path);
    await touch(path);
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, '');
    await touch(path);
    expect(statSync(path).size).toBe(0);
  });
});

describe('an owner elsewhere', () => {
  const elsewhere = { pid: 1, host: 'elsewhere', scope: 'another boot', startedAt: '1' };

  it('has ended when its journal has been silent for long, and leaves no trace of the question', async () => {
    setTime(-HOUR_MS);
    expect(await hasEnded(elsewhere, path, dir, signal)).toBe(true);
    expect(readdirSync(dir)).toEqual(['journal.json']);
  });

  it('has not ended when its journal is written to meanwhile', async () => {
    const asked = hasEnded(elsewhere, path, dir, signal);
    const heartbeat = setInterval(() => void touch(path), 50);
    expect(await asked).toBe(false);
    clearInterval(heartbeat);
  });

  it('has ended when its journal is gone', async () => {
    rmSync(path);
    expect(await hasEnded(elsewhere, path, dir, signal)).toBe(true);
  });
});

describe('an owner here', () => {
  it('has ended when no such process runs', async () => {
    const here = await currentOwner();
    expect(await hasEnded(here, path, dir, signal)).toBe(false);
    expect(await hasEnded({ ...here, startedAt: '0' }, path, dir, signal)).toBe(true);
  });
});
