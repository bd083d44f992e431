/** The value below which `share` (0 to 1) of the samples lie, by nearest rank. NaN without samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of one figure over the rounds. */
export function spreadOf(samples: readonly number[]): Spread {
  return { median: percentile(samples, 0.5), min: Math.min(...samples), max: Math.max(...samples) };
}

export function formatSpread({ median, min, max }: Spread, digits = 0): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
}
