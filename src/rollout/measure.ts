import { histogramOf, type Histogram } from './histogram.ts';
import type { CustomValue, Side, StepWindow } from './judge.ts';
import type { Prometheus, Series } from './prometheus.ts';

/** A query of the user's, for both sides: `$selector` in it stands for the labels of one. */
export interface CustomQuery extends Omit<CustomValue, 'canary' | 'stable'> {
  readonly query: string;
}

export interface MetricQueries {
  readonly requests: string;
  readonly errors: string;
  readonly latency: string;
  readonly custom: readonly CustomQuery[];
}

/** Labels in PromQL that pick the pods of one side. */
export interface Selectors {
  readonly canary: string;
  readonly stable: string;
}

/** Prometheus gives a value for as long after its last sample; a counter that paused for less has not begun anew. */
const LOOKBACK_SECONDS = 300;
const MAX_POINTS = 240;

/** What both sides answered from `from` to `to` (milliseconds since 1970). */
export async function measure(prometheus: Prometheus, queries: MetricQueries, selectors: Selectors, from: number, to: number): Promise<StepWindow> {
  const [canary, stable, custom] = await Promise.all([
    measureSide(prometheus, queries, selectors.canary, from / 1000, to / 1000),
    measureSide(prometheus, queries, selectors.stable, from / 1000, to / 1000),
    Promise.all(queries.custom.map((query) => measureCustom(prometheus, query, selectors, from, to))),
  ]);
  return { canary, stable, custom };
}

async function measureSide(prometheus: Prometheus, queries: MetricQueries, selector: string, from: number, to: number): Promise<Side> {
  const step = Math.max(1, Math.ceil((to - from + LOOKBACK_SECONDS) / MAX_POINTS));
  // One of the points is the very beginning of the step.
  const start = from - Math.ceil(LOOKBACK_SECONDS / step) * step;
  const of = async (template: string): Promise<readonly Series[]> =>
    template === 'none' ? [] : prometheus.range(fill(template, selector), start, to, step);
  const [requests, errors, buckets] = await Promise.all([of(queries.requests), of(queries.errors), of(queries.latency)]);
  const latency = histogramFrom(buckets, from);
  return { requests: sumOf(requests, from), errors: sumOf(errors, from), ...(latency === undefined ? {} : { latency }) };
}

/** Functions as replacements: a `$&` in a selector is no pattern. */
function fill(template: string, selector: string, window = ''): string {
  return template.replaceAll('$selector', () => selector).replaceAll('$window', () => window);
}

async function measureCustom(
  prometheus: Prometheus,
  { query, ...limits }: CustomQuery,
  { canary, stable }: Selectors,
  from: number,
  to: number,
): Promise<CustomValue> {
  const window = `${Math.max(1, Math.round((to - from) / 1000))}s`;
  const [ours, theirs] = await Promise.all([canary, stable].map((selector) => prometheus.value(fill(query, selector, window), to / 1000)));
  return { ...limits, canary: ours ?? NaN, stable: theirs ?? NaN };
}

/**
 * How much a counter grew since `from` (seconds). Not PromQL's increase(): that one misses what a series counted before its first scrape, which is all of the
 * first errors of a new pod, and extrapolates to fractions of requests. A value below the one before is a process that began anew.
 */
export function increaseOf({ values }: Series, from: number): number {
  let before = 0;
  let grown = 0;
  for (const [at, value] of values) {
    if (Number.isNaN(value)) continue;
    if (at > from) grown += value >= before ? value - before : value;
    before = value;
  }
  return grown;
}

function sumOf(all: readonly Series[], from: number): number {
  let sum = 0;
  for (const series of all) sum += increaseOf(series, from);
  return Math.round(sum);
}

function histogramFrom(buckets: readonly Series[], from: number): Histogram | undefined {
  const cumulative = new Map<number, number>();
  for (const series of buckets) {
    const written = series.labels['le'] ?? '';
    const bound = written === '+Inf' ? Infinity : Number(written);
    if (written === '' || Number.isNaN(bound)) continue;
    cumulative.set(bound, (cumulative.get(bound) ?? 0) + Math.round(increaseOf(series, from)));
  }
  return histogramOf(cumulative);
}
