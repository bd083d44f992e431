import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockOrWait, removeLock, type LockRecord, type LockWait } from '../../../../src/storage/cache/lock.ts';
import { currentOwner } from '../../../../src/storage/owner.ts';

let dir = '';
let path = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-lock-'));
  path = join(dir, 'key');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const wait = (given: Partial<LockWait> = {}): LockWait => ({
  signal: new AbortController().signal,
  isDone: () => Promise.resolve(false),
  abandoned: () => Promise.resolve(),
  ...given,
});

describe('a lock', () => {
  it('is given to the next when it is released', async () => {
    const first = await lockOrWait(path, 'one', wait());
    const second = lockOrWait(path, 'two', wait());
    await first?.release();
    await (await second)?.release();
    expect(existsSync(path)).toBe(false);
  });

  it('is not waited for any longer than what it is for', async () => {
    await lockOrWait(path, 'one', wait());
    let looks = 0;
    expect(await lockOrWait(path, 'two', wait({ isDone: () => Promise.resolve(++looks > 1) }))).toBeUndefined();
  });

  it('is taken at once from a process of this container that has ended, and tells where that worked', async () => {
    const owner = { ...(await currentOwner()), startedAt: '1' };
    writeFileSync(path, JSON.stringify({ owner, staging: 'half-done' }));
    const abandoned: LockRecord[] = [];
    const startedAt = performance.now();
    const abandon = (record: LockRecord): Promise<void> => {
      abandoned.push(record);
      return Promise.resolve();
    };
    const lock = await lockOrWait(path, 'mine', wait({ abandoned: abandon }));
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect(abandoned.map(({ staging }) => staging)).toEqual(['half-done']);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ staging: 'mine' });
    await lock?.release();
  });

  it('of somebody else is not removed by who had it before', async () => {
    const first = await lockOrWait(path, 'one', wait());
    writeFileSync(path, 'of somebody else');
    await first?.release();
    expect(readFileSync(path, 'utf8')).toBe('of somebody else');
    expect(await removeLock(path, 'an old one')).toBe(false);
  });

  it('that says where to work outside of its folder is not believed', async () => {
    const owner = { ...(await currentOwner()), startedAt: '1' };
    // Nothing in it counts, so its holder may be anywhere; only the signal ends the wait here.
    writeFileSync(path, JSON.stringify({ owner, staging: '../../etc' }));
    const stop = new AbortController();
    let looks = 0;
    const isDone = (): Promise<boolean> => {
      if (++looks > 2) stop.abort(new Error('enough'));
      return Promise.resolve(false);
    };
    await expect(lockOrWait(path, 'mine', wait({ signal: stop.signal, isDone }))).rejects.toThrow('enough');
    expect(existsSync(path)).toBe(true);
  });
});
