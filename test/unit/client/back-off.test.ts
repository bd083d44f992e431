import { describe, expect, it } from 'vitest';
import { backOffMs } from '../../../src/client/back-off.ts';

describe('backOffMs', () => {
  it('doubles from 100 ms to at most a second, half of it by chance', () => {
    expect([0, 1, 2, 3, 4, 50].map((attempt) => backOffMs(attempt, undefined, () => 1))).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect([0, 1, 2, 3, 4, 50].map((attempt) => backOffMs(attempt, undefined, () => 0))).toEqual([50, 100, 200, 400, 500, 500]);
  });

  it('waits at least what the server asked for', () => {
    expect(backOffMs(0, 3000, () => 0)).toBe(3000);
    expect(backOffMs(0, 3000, () => 1)).toBe(3050);
    expect(backOffMs(5, 0, () => 0)).toBe(0);
  });
});
