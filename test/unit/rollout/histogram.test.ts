import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, histogramOf, quantileOf, slowerThan, totalOf, type Histogram } from '../../../src/rollout/histogram.ts';

const someHistogram: Histogram = { bounds: [0.1, 0.5, Infinity], counts: [90, 9, 1] };

describe('histogramOf', () => {
  it('takes cumulative buckets in any order apart', () => {
    expect(
      histogramOf(
        new Map([
          [Infinity, 100],
          [0.1, 90],
          [0.5, 99],
        ]),
      ),
    ).toEqual(someHistogram);
  });

  it('is undefined without the bucket of all', () => {
    expect(
      histogramOf(
        new Map([
          [0.1, 1],
          [0.5, 2],
        ]),
      ),
    ).toBeUndefined();
  });

  it('never counts below zero when buckets were scraped at different moments', () => {
    expect(
      histogramOf(
        new Map([
          [0.1, 10],
          [0.5, 9],
          [Infinity, 12],
        ]),
      )?.counts,
    ).toEqual([10, 0, 2]);
  });
});

describe('quantileOf', () => {
  it('interpolates within the bucket', () => {
    expect(quantileOf(someHistogram, 0.9)).toBeCloseTo(0.1);
    expect(quantileOf(someHistogram, 0.99)).toBeCloseTo(0.5);
    expect(quantileOf(someHistogram, 0.945)).toBeCloseTo(0.3);
  });

  it('is the last finite bound beyond it, and NaN without requests', () => {
    expect(quantileOf(someHistogram, 0.999)).toBe(0.5);
    expect(quantileOf({ bounds: [1, Infinity], counts: [0, 0] }, 0.5)).toBeNaN();
  });

  it('rises with the quantile and stays within its bucket', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(counts, fc.double({ min: 0.01, max: 1, noNaN: true }), fc.double({ min: 0.01, max: 1, noNaN: true }), (each, p, q) => {
        const histogram = { bounds: [0.1, 0.2, 0.4, Infinity], counts: each };
        fc.pre(totalOf(histogram) > 0);
        expect(quantileOf(histogram, Math.min(p, q))).toBeLessThanOrEqual(quantileOf(histogram, Math.max(p, q)) + 1e-12);
        expect(quantileOf(histogram, p)).toBeLessThanOrEqual(histogram.bounds[bucketOf(histogram, p)] ?? 0);
      }),
    );
  });
});

describe('slowerThan', () => {
  it('counts what lies above a bucket', () => {
    expect(slowerThan(someHistogram, 0)).toEqual({ hits: 10, total: 100 });
    expect(slowerThan(someHistogram, 2)).toEqual({ hits: 0, total: 100 });
  });
});
