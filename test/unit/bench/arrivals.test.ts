import { describe, expect, it } from 'vitest';
import { createArrivals } from '../../../src/bench/arrivals.ts';
import { createRandom } from '../../../src/core/random.ts';

function take(count: number, next: () => number): number[] {
  return Array.from({ length: count }, next);
}

describe('createArrivals', () => {
  it('constant: one every 1000 / rate ms from the start on, without drift', () => {
    const times = take(100_001, createArrivals('constant', 3000, createRandom(1)));
    expect(times.slice(0, 4)).toEqual([0, 1000 / 3000, 2000 / 3000, 1]);
    expect(times[100_000]).toBeCloseTo(100_000 / 3, 6);
  });

  it('poisson: times only grow, and as many come as asked for', () => {
    const times = take(50_000, createArrivals('poisson', 500, createRandom(7)));
    expect(times.every((time, index) => time > (times[index - 1] ?? -1))).toBe(true);
    expect(50_000 / (times.at(-1) ?? 0)).toBeCloseTo(0.5, 1);
  });

  it('poisson: gaps scatter as much as they are long', () => {
    const times = take(50_000, createArrivals('poisson', 1000, createRandom(3)));
    const gaps = times.map((time, index) => time - (times[index - 1] ?? 0));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    expect(deviation / mean).toBeGreaterThan(0.97);
    expect(deviation / mean).toBeLessThan(1.03);
  });

  it('the same seed gives the same times, another seed others', () => {
    const of = (seed: number): number[] => take(20, createArrivals('poisson', 10, createRandom(seed)));
    expect(of(5)).toEqual(of(5));
    expect(of(5)).not.toEqual(of(6));
  });
});
