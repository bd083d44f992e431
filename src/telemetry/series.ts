import type { MetricDefinition } from './metric-table.ts';

/** One line of a metric as Prometheus shows it. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Only where it differs from the metric's own name, e.g. `…_bucket`. */
  readonly metricName?: string;
}

/** A number with labels. */
export class NumberCell {
  value = 0;

  add(amount: number): void {
    this.value += amount;
  }
}

/** Counts by bucket, and their sum. */
export class HistogramCell {
  readonly #bounds: Float64Array;
  /** One more than bounds: the last is +Inf. Not cumulated. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let i = 0;
    while (i < this.#bounds.length && value > (this.#bounds[i] ?? Infinity)) i++;
    this.#counts[i] = (this.#counts[i] ?? 0) + 1;
    this.#sum += value;
  }

  samples(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    const samples: Sample[] = [];
    let total = 0;
    this.#counts.forEach((count, i) => {
      total += count;
      samples.push({ metricName: `${name}_bucket`, labels: { le: this.#bounds[i] ?? '+Inf', ...labels }, value: total });
    });
    samples.push({ metricName: `${name}_sum`, labels, value: this.#sum }, { metricName: `${name}_count`, labels, value: total });
    return samples;
  }
}

/**
 * All series of one metric. Counting is a field's increment, on a cell that hot paths keep: prom-client, which takes 60 ms to import and hashes
 * labels on each call, is not needed before somebody reads.
 */
class Series<Cell> {
  readonly definition: MetricDefinition;
  readonly #createCell: () => Cell;
  readonly #cells = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly cell: Cell }>();

  constructor(definition: MetricDefinition, createCell: () => Cell) {
    this.definition = definition;
    this.#createCell = createCell;
  }

  /** The cell of these label values, in the order of the definition; made on first use. */
  with(...values: readonly string[]): Cell {
    const key = values.join('\0');
    let entry = this.#cells.get(key);
    if (entry === undefined) {
      const labels = Object.fromEntries(this.definition.labels.map((label, i) => [label, values[i] ?? '']));
      entry = { labels, cell: this.#createCell() };
      this.#cells.set(key, entry);
    }
    return entry.cell;
  }

  entries(): Iterable<{ readonly labels: Readonly<Record<string, string>>; readonly cell: Cell }> {
    return this.#cells.values();
  }
}

/** A counter or a gauge. */
export class NumberSeries extends Series<NumberCell> {
  constructor(definition: MetricDefinition) {
    super(definition, () => new NumberCell());
  }

  samples(): Sample[] {
    return Array.from(this.entries(), ({ labels, cell }) => ({ labels, value: cell.value }));
  }
}

export class HistogramSeries extends Series<HistogramCell> {
  constructor(definition: MetricDefinition) {
    const bounds = Float64Array.from(definition.buckets ?? []);
    super(definition, () => new HistogramCell(bounds));
  }

  samples(): Sample[] {
    return Array.from(this.entries(), ({ labels, cell }) => cell.samples(this.definition.name, labels)).flat();
  }
}
