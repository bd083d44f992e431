import type { Random } from '../core/random.ts';

/** Gives the times, in milliseconds from the start, at which the requests of an open loop are due, one after the other. */
export type Arrivals = () => number;

/**
 * `constant`: one every 1000 / `rate` ms, without drift. `poisson`: times between them fall exponentially about the same mean, as requests of many users
 * that do not know of each other.
 */
export function createArrivals(kind: 'constant' | 'poisson', rate: number, random: Random): Arrivals {
  const meanMs = 1000 / rate;
  if (kind === 'constant') {
    let count = 0;
    return () => count++ * meanMs;
  }
  let due = 0;
  return () => {
    // 1 - random is never 0, so that the logarithm is finite.
    due -= Math.log(1 - random()) * meanMs;
    return due;
  };
}
