import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Latencies } from '../../../src/bench/latencies.ts';

function of(values: readonly number[]): Latencies {
  const latencies = new Latencies();
  for (const value of values) latencies.record(value);
  return latencies;
}

describe('Latencies', () => {
  it('tells nothing of nothing', () => {
    const empty = new Latencies();
    expect(empty.summary()).toBeUndefined();
    expect(empty.count).toBe(0);
  });

  it('gives percentiles of 1 to 1000 ms to three digits', () => {
    const summary = of(Array.from({ length: 1000 }, (_, index) => index + 1)).summary();
    for (const [got, expected] of [
      [summary?.min, 1],
      [summary?.p50, 500],
      [summary?.p90, 900],
      [summary?.p99, 990],
      [summary?.p99_9, 999],
      [summary?.max, 1000],
      [summary?.mean, 500.5],
    ] as const) {
      expect(Math.abs((got ?? NaN) / expected - 1)).toBeLessThan(0.001);
    }
  });

  it('never says less than the nearest rank, nor more than a thousandth above it', () => {
    const anyLatencies = fc.array(fc.double({ min: 0.01, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(anyLatencies, fc.double({ min: 1, max: 99.9, noNaN: true }), (values, percentile) => {
        const sorted = values.map((value) => Math.round(value * 1000) / 1000).sort((a, b) => a - b);
        const rank = sorted[Math.max(0, Math.ceil((percentile / 100) * sorted.length) - 1)] ?? 0;
        const got = of(values).percentile(percentile);
        // HDR histograms round the rank to the nearest; one neighbour either way is the same percentile.
        const below = sorted[Math.max(0, Math.ceil((percentile / 100) * sorted.length) - 2)] ?? 0;
        expect(got).toBeGreaterThanOrEqual(below * 0.999 - 0.001);
        expect(got).toBeLessThanOrEqual(rank * 1.001 + 0.002);
      }),
    );
  });

  it('keeps what is shorter than a microsecond or longer than a day at the border', () => {
    const summary = of([0, 1e12]).summary();
    expect(summary?.min).toBe(0.001);
    expect(summary?.max).toBeGreaterThan(86_000_000);
  });

  it('draws the curve no further out than the number of latencies bears', () => {
    const curve = of(Array.from({ length: 100 }, (_, index) => index + 1)).curve();
    expect(curve.map(([percentile]) => percentile)).not.toContain(99.9);
    expect(curve.at(-1)?.[0]).toBe(100);
    expect(curve.every(([, ms], index) => ms >= (curve[index - 1]?.[1] ?? 0))).toBe(true);
  });
});
