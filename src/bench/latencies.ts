import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** In milliseconds. */
export interface LatencySummary {
  readonly mean: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly max: number;
}

const MICROSECONDS_A_MS = 1000;
/** A day: no timeout is longer. */
const HIGHEST = 86_400_000 * MICROSECONDS_A_MS;

/** Of the distribution's curve, closer and closer to 1 as the tail gets thin. */
const CURVE = [
  0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 96, 97, 98, 98.5, 99, 99.25, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995, 99.999, 100,
];

/** Every latency to three digits in constant memory: the platform's own HDR histogram, in microseconds. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: HIGHEST, figures: 3 });

  record(milliseconds: number): void {
    this.#histogram.record(Math.min(HIGHEST, Math.max(1, Math.round(milliseconds * MICROSECONDS_A_MS))));
  }

  get count(): number {
    return this.#histogram.count;
  }

  /** Undefined without any. */
  summary(): LatencySummary | undefined {
    if (this.count === 0) return undefined;
    const at = (percentile: number): number => this.percentile(percentile);
    const histogram = this.#histogram;
    return {
      mean: histogram.mean / MICROSECONDS_A_MS,
      min: histogram.min / MICROSECONDS_A_MS,
      p50: at(50),
      p90: at(90),
      p95: at(95),
      p99: at(99),
      p99_9: at(99.9),
      max: histogram.max / MICROSECONDS_A_MS,
    };
  }

  /** Milliseconds below or at which `percentile` (0 to 100) of the latencies lie. */
  percentile(percentile: number): number {
    const histogram = this.#histogram;
    if (percentile <= 0) return histogram.min / MICROSECONDS_A_MS;
    if (percentile >= 100) return histogram.max / MICROSECONDS_A_MS;
    return Math.min(histogram.percentile(percentile), histogram.max) / MICROSECONDS_A_MS;
  }

  /** Points of the percentile curve, as far out as the number of latencies bears. */
  curve(): readonly (readonly [percentile: number, milliseconds: number])[] {
    const furthest = 100 - 100 / Math.max(1, this.count);
    return CURVE.filter((percentile) => percentile <= furthest || percentile === 100).map((percentile) => [percentile, this.percentile(percentile)]);
  }
}
