/** Of `total` requests, `hits` have what is counted: they failed, or were slower than a bound. */
export interface Proportion {
  readonly hits: number;
  readonly total: number;
}

/** Counts up to which sums of the hypergeometric distribution are cheap, and needed: below, a normal distribution is a poor stand-in. */
const EXACT_HITS = 200;

/**
 * The chance of at least as many hits in `canary` as there are, if both came from one population: one-sided, because a better canary is no reason to roll
 * back. Fisher's exact test while hits are few, else the two-proportion z-test with pooled variance. 1 when a side is empty.
 */
export function pValueOfMore(canary: Proportion, stable: Proportion): number {
  const hits = canary.hits + stable.hits;
  const total = canary.total + stable.total;
  if (canary.total <= 0 || stable.total <= 0 || hits <= 0 || hits >= total) return 1;
  if (Math.min(hits, total - hits) <= EXACT_HITS) return fisherUpperTail(canary, stable);
  const pooled = hits / total;
  const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / canary.total + 1 / stable.total));
  return normalUpperTail((canary.hits / canary.total - stable.hits / stable.total) / deviation);
}

function fisherUpperTail(canary: Proportion, stable: Proportion): number {
  const hits = canary.hits + stable.hits;
  const total = canary.total + stable.total;
  const all = logChoose(total, hits);
  let sum = 0;
  for (let k = canary.hits; k <= Math.min(hits, canary.total); k++) {
    const term = Math.exp(logChoose(canary.total, k) + logChoose(stable.total, hits - k) - all);
    sum += term;
    // Terms fall ever faster beyond the mean.
    if (term < 1e-18 && k > (hits * canary.total) / total) break;
  }
  return Math.min(1, sum);
}

function logChoose(n: number, k: number): number {
  return k < 0 || k > n ? -Infinity : logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
}

const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** Lanczos' approximation for x >= 1, good to about 1e-14 of the value. */
function logGamma(x: number): number {
  const at = x - 1;
  let sum = 0.99999999999980993;
  for (const [index, coefficient] of LANCZOS.entries()) sum += coefficient / (at + index + 1);
  const base = at + LANCZOS.length - 0.5;
  return 0.5 * Math.log(2 * Math.PI) + (at + 0.5) * Math.log(base) - base + Math.log(sum);
}

/** Chance of a standard normal value above z: Numerical Recipes' erfc, relative error below 1.2e-7 everywhere. */
export function normalUpperTail(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.5 * x);
  const polynomial = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277];
  let sum = 0;
  for (let index = polynomial.length - 1; index >= 0; index--) sum = sum * t + (polynomial[index] ?? 0);
  const tail = 0.5 * t * Math.exp(-x * x + sum);
  return z >= 0 ? tail : 1 - tail;
}
