import type { Proportion } from './statistics.ts';

/** Requests by latency: `counts[i]` of them took at most `bounds[i]` seconds and more than the bound before. The last bound is Infinity. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** From Prometheus' cumulative buckets: `cumulative` maps an upper bound (`le`) to all requests up to it. */
export function histogramOf(cumulative: ReadonlyMap<number, number>): Histogram | undefined {
  const bounds = [...cumulative.keys()].sort((a, b) => a - b);
  if (bounds.length < 2 || bounds.at(-1) !== Infinity) return undefined;
  let before = 0;
  const counts = bounds.map((bound) => {
    // Increases of buckets scraped at different moments may disagree by a request.
    const upTo = Math.max(before, cumulative.get(bound) ?? 0);
    const count = upTo - before;
    before = upTo;
    return count;
  });
  return { bounds, counts };
}

export function totalOf({ counts }: Histogram): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/** Seconds, interpolated within the bucket as Prometheus' histogram_quantile does; the last finite bound for what lies beyond it. NaN without requests. */
export function quantileOf(histogram: Histogram, quantile: number): number {
  const index = bucketOf(histogram, quantile);
  const upper = histogram.bounds[index];
  const lower = index === 0 ? 0 : (histogram.bounds[index - 1] ?? 0);
  if (upper === undefined) return NaN;
  if (upper === Infinity) return lower;
  const rank = quantile * totalOf(histogram);
  let before = 0;
  for (let at = 0; at < index; at++) before += histogram.counts[at] ?? 0;
  const inside = histogram.counts[index] ?? 0;
  return inside === 0 ? upper : lower + (upper - lower) * ((rank - before) / inside);
}

/** The bucket that the quantile lies in; -1 without requests. */
export function bucketOf({ counts, bounds }: Histogram, quantile: number): number {
  const total = totalOf({ counts, bounds });
  if (total === 0) return -1;
  let upTo = 0;
  for (const [index, count] of counts.entries()) {
    upTo += count;
    if (upTo >= quantile * total && count > 0) return index;
  }
  return counts.length - 1;
}

/** How many were slower than the upper bound of bucket `index`. */
export function slowerThan({ counts, bounds }: Histogram, index: number): Proportion {
  let hits = 0;
  for (let at = index + 1; at < counts.length; at++) hits += counts[at] ?? 0;
  return { hits, total: totalOf({ counts, bounds }) };
}
