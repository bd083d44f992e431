import type { Execution } from '../core/batch.ts';
import type { BatchStatistics, ModelStatistics, StatisticDuration } from '../core/statistics.ts';

/** Sizes of runs that are told apart; clients choose them. Runs of further sizes count in the totals alone. */
const MAX_SIZES = 256;

/** A count and a sum of milliseconds. */
class Total {
  #count = 0;
  #ms = 0;

  /** `count` times `ms` milliseconds. */
  add(ms: number, count = 1): void {
    this.#count += count;
    this.#ms += ms * count;
  }

  read(): StatisticDuration {
    return { count: this.#count, ns: Math.round(this.#ms * 1e6) };
  }
}

interface SizeTotals {
  readonly input: Total;
  readonly infer: Total;
  readonly output: Total;
}

/** Counts for one version of a model; read when somebody asks. */
export class StatisticsRecorder {
  readonly #name: string;
  readonly #version: string;
  #lastInference = 0;
  #rows = 0;
  #executions = 0;
  readonly #success = new Total();
  readonly #fail = new Total();
  readonly #queue = new Total();
  readonly #compute: SizeTotals = createSizeTotals();
  readonly #cacheHit = new Total();
  readonly #cacheMiss = new Total();
  readonly #bySize = new Map<number, SizeTotals>();

  constructor(name: string, version: string) {
    this.#name = name;
    this.#version = version;
  }

  finished(isOk: boolean, ms: number): void {
    (isOk ? this.#success : this.#fail).add(ms);
  }

  waited(ms: number): void {
    this.#queue.add(ms);
  }

  executed({ members, rows, inputMs, inferMs, outputMs }: Execution): void {
    this.#lastInference = Date.now();
    this.#rows += rows;
    this.#executions++;
    this.#compute.input.add(inputMs, members);
    this.#compute.infer.add(inferMs, members);
    this.#compute.output.add(outputMs, members);
    const size = this.#ofSize(rows);
    size?.input.add(inputMs);
    size?.infer.add(inferMs);
    size?.output.add(outputMs);
  }

  lookedUp(isHit: boolean, ms: number): void {
    (isHit ? this.#cacheHit : this.#cacheMiss).add(ms);
  }

  read(): ModelStatistics {
    return {
      name: this.#name,
      version: this.#version,
      lastInference: this.#lastInference,
      inferenceCount: this.#rows,
      executionCount: this.#executions,
      success: this.#success.read(),
      fail: this.#fail.read(),
      queue: this.#queue.read(),
      computeInput: this.#compute.input.read(),
      computeInfer: this.#compute.infer.read(),
      computeOutput: this.#compute.output.read(),
      cacheHit: this.#cacheHit.read(),
      cacheMiss: this.#cacheMiss.read(),
      batches: [...this.#bySize].sort(([a], [b]) => a - b).map(readSize),
    };
  }

  #ofSize(rows: number): SizeTotals | undefined {
    const known = this.#bySize.get(rows);
    if (known !== undefined || this.#bySize.size >= MAX_SIZES) return known;
    const totals = createSizeTotals();
    this.#bySize.set(rows, totals);
    return totals;
  }
}

function createSizeTotals(): SizeTotals {
  return { input: new Total(), infer: new Total(), output: new Total() };
}

function readSize([batchSize, { input, infer, output }]: readonly [number, SizeTotals]): BatchStatistics {
  return { batchSize, computeInput: input.read(), computeInfer: infer.read(), computeOutput: output.read() };
}

/** The recorder of each version of each model, made on first use: for models that exist only. */
export class StatisticsBook {
  readonly #byModel = new Map<string, Map<string, StatisticsRecorder>>();

  of(model: string, version: string): StatisticsRecorder {
    let byVersion = this.#byModel.get(model);
    if (byVersion === undefined) this.#byModel.set(model, (byVersion = new Map<string, StatisticsRecorder>()));
    let recorder = byVersion.get(version);
    if (recorder === undefined) byVersion.set(version, (recorder = new StatisticsRecorder(model, version)));
    return recorder;
  }
}
