import { describe, expect, test } from 'vitest';
import { Backoff, DEFAULT_BACKOFF } from '../../../src/executor/backoff.ts';

describe('Backoff', () => {
  test('tries at once, then ever more rarely, and stays at the longest wait', () => {
    const backoff = new Backoff({ delaysMs: [0, 500, 1000], healthyAfterMs: 60_000 });
    expect([0, 1, 2, 3, 4].map((now) => backoff.next(now))).toEqual([0, 500, 1000, 1000, 1000]);
  });

  test('starts again after a time of health, and only then', () => {
    const backoff = new Backoff({ delaysMs: [0, 500, 1000, 2000], healthyAfterMs: 60_000 });
    backoff.next(0);
    backoff.recover(100);
    expect(backoff.next(60_099)).toBe(500);
    backoff.recover(70_000);
    expect(backoff.next(130_000)).toBe(0);
  });

  test('is failing after five attempts in a row', () => {
    const backoff = new Backoff(DEFAULT_BACKOFF);
    const states = Array.from({ length: 5 }, (_, now) => {
      backoff.next(now);
      return backoff.isFailing;
    });
    expect(states).toEqual([false, false, false, false, true]);
    backoff.recover(10);
    backoff.next(100_000);
    expect(backoff.isFailing).toBe(false);
  });
});
