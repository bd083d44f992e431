import type { Measurement } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import type { SampleSource } from './exposition.ts';
import { METRIC_TABLE, type MetricDefinition } from './metric-table.ts';
import { HistogramSeries, NumberSeries } from './series.ts';

/** Time series of one model; what would be further ones is not counted. */
const MAX_SERIES = 1000;

/** Prometheus' own, without the colon of recording rules. */
const METRIC_NAME = /^[a-zA-Z_][a-zA-Z0-9_]{0,199}$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,99}$/;
const MAX_VALUE_CHARS = 256;

/** Metrics of the process and of Node, whose names are the library's. */
const FOREIGN = /^(kserve_node|process|nodejs)_/;

/** As of `prom-client`. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type UserSeries = NumberSeries | HistogramSeries;

/** Metrics that handlers have made up. Each comes to be with its first measurement, whose label names it keeps; the label `model` is ours. */
export class UserMetrics {
  readonly #log: Logger;
  readonly #metrics = new Map<string, UserSeries>();
  /** Every name that a line of the exposition may begin with. */
  readonly #names = new Set<string>();
  readonly #seriesOfModel = new Map<string, Set<string>>();
  readonly #warned = new Set<string>();
  #new: SampleSource[] = [];

  constructor(log: Logger) {
    this.#log = log;
    for (const { name, type } of METRIC_TABLE) for (const line of linesOf(type, name)) this.#names.add(line);
  }

  record(model: string, measurements: readonly Measurement[]): void {
    for (const measurement of measurements) {
      const refusal = this.#count(model, measurement);
      if (refusal !== undefined) this.#warn(model, measurement.name, refusal);
    }
  }

  /** Metrics that have come to be since the last call. */
  takeNew(): readonly SampleSource[] {
    const taken = this.#new;
    this.#new = [];
    return taken;
  }

  /** Why it cannot be counted; undefined when it was. */
  #count(model: string, measurement: Measurement): string | undefined {
    const { kind, labels, value } = measurement;
    if (!Number.isFinite(value)) return `its value is ${value}`;
    if (kind === 'counter' && value < 0) return 'a counter only goes up';
    const metric = this.#metrics.get(measurement.name) ?? this.#create(measurement);
    if (typeof metric === 'string') return metric;
    const { definition } = metric;
    if (definition.type !== kind) return `it is a ${definition.type} already, not a ${kind}`;
    const names = definition.labels.slice(1);
    if (Object.keys(labels).length !== names.length || names.some((name) => !Object.hasOwn(labels, name))) {
      return `its labels are ${listOf(names)} since its first use, not ${listOf(Object.keys(labels))}`;
    }
    const values = [model, ...names.map((name) => (labels[name] ?? '').slice(0, MAX_VALUE_CHARS))];
    if (!this.#hasRoom(model, `${definition.name}\0${values.join('\0')}`))
      return `the model has ${MAX_SERIES} series already: give labels few values`;
    if (metric instanceof NumberSeries) metric.with(...values).add(value);
    else metric.with(...values).observe(value);
    return undefined;
  }

  /** The metric, or why it cannot be. */
  #create({ kind, name, help, labels, buckets }: Measurement): UserSeries | string {
    if (!METRIC_NAME.test(name)) return 'expected letters, digits and _, not beginning with a digit';
    const lines = linesOf(kind, name);
    if (FOREIGN.test(name) || lines.some((line) => this.#names.has(line))) return 'the name is taken by another metric';
    const names = Object.keys(labels).sort();
    const bad = names.find((label) => !LABEL_NAME.test(label) || label === 'model' || label === 'le');
    if (bad !== undefined) return `label "${bad.slice(0, MAX_VALUE_CHARS)}": expected letters, digits and _, and neither model nor le`;
    const definition: MetricDefinition = { name, type: kind, labels: ['model', ...names], help: help === '' ? name : help };
    const metric = kind === 'counter' ? new NumberSeries(definition) : new HistogramSeries({ ...definition, buckets: sorted(buckets) });
    for (const line of lines) this.#names.add(line);
    this.#metrics.set(name, metric);
    this.#new.push(metric);
    return metric;
  }

  #hasRoom(model: string, series: string): boolean {
    let known = this.#seriesOfModel.get(model);
    if (known === undefined) this.#seriesOfModel.set(model, (known = new Set()));
    if (known.has(series)) return true;
    if (known.size >= MAX_SERIES) return false;
    known.add(series);
    return true;
  }

  #warn(model: string, name: string, reason: string): void {
    const shown = name.slice(0, MAX_VALUE_CHARS);
    const key = `${model}\0${shown}`;
    if (this.#warned.has(key) || this.#warned.size >= MAX_SERIES) return;
    this.#warned.add(key);
    this.#log.warn({ model, metric: shown, reason }, 'A measurement of a handler was left out, as will be others of this metric; this is said once');
  }
}

/** OpenMetrics ends counters with `_total`, whether their names do or not. */
function linesOf(type: MetricDefinition['type'], name: string): readonly string[] {
  if (type === 'histogram') return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
  const family = name.replace(/_total$/, '');
  return type === 'counter' ? [family, `${family}_total`] : [name];
}

function sorted(buckets: readonly number[] | undefined): readonly number[] {
  const bounds = (buckets ?? BUCKETS).filter((bound) => Number.isFinite(bound));
  return [...new Set(bounds)].sort((a, b) => a - b);
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
