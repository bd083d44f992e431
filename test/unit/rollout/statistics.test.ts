import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalUpperTail, pValueOfMore } from '../../../src/rollout/statistics.ts';

/** A generator of numbers in [0, 1) that gives the same ones again. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

describe('pValueOfMore', () => {
  // From R: fisher.test(matrix(c(3, 1, 1, 3), 2), alternative = "greater"), and so on.
  it.each([
    [3, 4, 1, 4, 0.2428571],
    [10, 100, 2, 100, 0.01653],
    [5, 20, 0, 20, 0.02356],
    [0, 10, 0, 10, 1],
  ])('is Fisher’s one-sided test for %d of %d against %d of %d', (hits, total, usual, of, expected) => {
    expect(pValueOfMore({ hits, total }, { hits: usual, total: of })).toBeCloseTo(expected, 4);
  });

  it('goes over from sums to the normal distribution without a jump', () => {
    const exact = pValueOfMore({ hits: 115, total: 10_000 }, { hits: 85, total: 10_000 });
    const normal = pValueOfMore({ hits: 116, total: 10_000 }, { hits: 86, total: 10_000 });
    expect(normal / exact).toBeGreaterThan(0.6);
    expect(normal / exact).toBeLessThan(1.2);
  });

  it('is 1 when a side is empty, and never more', () => {
    expect(pValueOfMore({ hits: 0, total: 0 }, { hits: 5, total: 10 })).toBe(1);
    expect(pValueOfMore({ hits: 5, total: 10 }, { hits: 0, total: 0 })).toBe(1);
    const counts = fc.record({ total: fc.integer({ min: 0, max: 5000 }), share: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(counts, counts, (a, b) => {
        const side = ({ total, share }: typeof a): { hits: number; total: number } => ({ total, hits: Math.round(total * share) });
        const p = pValueOfMore(side(a), side(b));
        expect(p).toBeGreaterThanOrEqual(0);
        expect(p).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('falls when the canary has one more hit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 300 }), (total, of, hits) => {
        fc.pre(hits < total);
        const stable = { hits: Math.min(of, 20), total: of };
        expect(pValueOfMore({ hits: hits + 1, total }, stable)).toBeLessThanOrEqual(pValueOfMore({ hits, total }, stable) * 1.5 + 1e-12);
      }),
    );
  });

  it('calls equal sides different no more often than it says', () => {
    const random = randomFrom(7);
    let alarms = 0;
    const trials = 2000;
    for (let trial = 0; trial < trials; trial++) {
      let [canary, stable] = [0, 0];
      for (let at = 0; at < 150; at++) {
        if (random() < 0.05) canary++;
        if (random() < 0.05) stable++;
      }
      if (pValueOfMore({ hits: canary, total: 150 }, { hits: stable, total: 150 }) < 0.05) alarms++;
    }
    expect(alarms / trials).toBeLessThan(0.06);
  });
});

describe('normalUpperTail', () => {
  it.each([
    [0, 0.5],
    [1.6448536, 0.05],
    [-1.6448536, 0.95],
    [3.0902323, 0.001],
  ])('of %d is %d', (z, expected) => {
    expect(normalUpperTail(z)).toBeCloseTo(expected, 6);
  });
});
