import type { Measurement } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import type { HandlerCounter, HandlerHistogram } from '../handler/index.ts';

/** Prometheus "Data model"; colons are for recording rules. */
const METRIC_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Telemetry's own, and those that histograms need. */
const RESERVED_LABELS: ReadonlySet<string> = new Set(['le', 'quantile', 'model', 'version', 'model_name', 'model_version']);

const MOST_METRICS = 100;
const MOST_LABEL_SETS = 1000;
/** Between two answers; observations beyond are lost. */
const MOST_PENDING = 10_000;

type Labels = Readonly<Record<string, string>>;
type Definition = Pick<Measurement, 'kind' | 'name' | 'help' | 'buckets'>;

/** What user code counts and measures, until the next answer takes it along. Bounded in metrics, label sets and records. */
export class HandlerMetrics {
  readonly #log: Logger;
  readonly #metrics = new Map<string, Metric>();
  #pending: Measurement[] = [];
  #hasWarned = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The same counter for the same name. Throws TypeError for a name that is none, or that is taken by a histogram. */
  readonly counter = (name: string, help: string): HandlerCounter => {
    const metric = this.#define({ kind: 'counter', name, help });
    return {
      increment: (labels = NO_LABELS, by = 1) => {
        if (!Number.isFinite(by) || by < 0) throw new TypeError(`Cannot increment counter "${name}" by ${by}: expected a number from 0 on`);
        this.#record(metric, labels, by);
      },
    };
  };

  /** The same histogram for the same name. Throws TypeError as `counter`, and for buckets that do not rise. */
  readonly histogram = (name: string, help: string, buckets?: readonly number[]): HandlerHistogram => {
    checkBuckets(name, buckets);
    const metric = this.#define({ kind: 'histogram', name, help, ...(buckets === undefined ? {} : { buckets: [...buckets] }) });
    return {
      observe: (value, labels = NO_LABELS) => {
        if (!Number.isFinite(value)) throw new TypeError(`Cannot observe ${value} in histogram "${name}": expected a finite number`);
        this.#record(metric, labels, value);
      },
    };
  };

  /** What has come up since the last time; undefined for nothing. */
  take(): readonly Measurement[] | undefined {
    if (this.#pending.length === 0) return undefined;
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }

  #define(definition: Definition): Metric {
    const { kind, name, help } = definition;
    const known = this.#metrics.get(name);
    if (known !== undefined) {
      if (known.definition.kind === kind) return known;
      throw new TypeError(`Cannot make ${kind} "${name}": there is a ${known.definition.kind} of that name`);
    }
    if (typeof name !== 'string' || !METRIC_NAME.test(name))
      throw new TypeError(`Cannot make ${kind} ${JSON.stringify(name)}: expected a name of letters, digits and _`);
    if (typeof help !== 'string' || help === '') throw new TypeError(`Cannot make ${kind} "${name}": expected a help text`);
    if (this.#metrics.size >= MOST_METRICS) throw new TypeError(`Cannot make ${kind} "${name}": there are ${MOST_METRICS} metrics already`);
    const metric: Metric = { definition, labelNames: undefined, labelSets: new Set() };
    this.#metrics.set(name, metric);
    return metric;
  }

  #record(metric: Metric, written: Readonly<Record<string, unknown>>, value: number): void {
    const labels = takeLabels(metric, written);
    const key = JSON.stringify(labels);
    if (!metric.labelSets.has(key)) {
      if (metric.labelSets.size >= MOST_LABEL_SETS) {
        this.#warn(metric, `it has ${MOST_LABEL_SETS} combinations of labels already`);
        return;
      }
      metric.labelSets.add(key);
    }
    if (this.#pending.length >= MOST_PENDING) {
      this.#warn(metric, `${MOST_PENDING} measurements wait for the next answer`);
      return;
    }
    this.#pending.push({ ...metric.definition, labels, value });
  }

  #warn({ definition }: Metric, why: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#log.warn({ metric: definition.name }, `A measurement of the handler is lost: ${why}; later losses are not logged`);
  }
}

interface Metric {
  readonly definition: Definition;
  /** As first used, sorted; a metric has the same labels always. */
  labelNames: readonly string[] | undefined;
  readonly labelSets: Set<string>;
}

const NO_LABELS: Labels = Object.freeze({});

function takeLabels(metric: Metric, written: Readonly<Record<string, unknown>>): Labels {
  const { name } = metric.definition;
  const names = Object.keys(written).sort();
  metric.labelNames ??= checkLabelNames(name, names);
  if (names.length !== metric.labelNames.length || names.some((label, i) => label !== metric.labelNames?.[i])) {
    throw new TypeError(
      `Cannot record "${name}" with labels ${names.join(', ') || 'none'}: it was first used with ${metric.labelNames.join(', ') || 'none'}`,
    );
  }
  return Object.fromEntries(names.map((label) => [label, String(written[label])]));
}

function checkLabelNames(metric: string, names: readonly string[]): readonly string[] {
  for (const name of names) {
    if (!LABEL_NAME.test(name) || RESERVED_LABELS.has(name))
      throw new TypeError(`Cannot record "${metric}" with label ${JSON.stringify(name)}: expected another name of letters, digits and _`);
  }
  return names;
}

function checkBuckets(name: string, buckets: readonly number[] | undefined): void {
  if (buckets === undefined) return;
  const rises =
    Array.isArray(buckets) &&
    buckets.length > 0 &&
    buckets.length <= 100 &&
    buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > (buckets[i - 1] ?? bound)));
  if (!rises) throw new TypeError(`Cannot make histogram "${name}": expected 1 to 100 finite buckets that rise`);
}
