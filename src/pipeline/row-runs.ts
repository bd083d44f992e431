import type { Execution, Settled } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import { formOf, rowsOf, whyNoRows } from '../core/rows.ts';
import { StopSource, type StopSignal } from '../core/stop-signal.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EngineSession } from '../engine/index.ts';
import { mergeRows, splitRows, takeRows } from './merge-rows.ts';

/** Whether rows of several requests run as one. */
export interface RowBatching {
  /** `auto`: when the signature lets it and a probe agrees. `on`: when the signature lets it. */
  readonly mode: 'auto' | 'on' | 'off';
  /** Rows of one run, at most. */
  readonly maxBatchSize: number;
}

export interface RowRunsOptions {
  readonly modelName: string;
  /** Absent: off. */
  readonly batching?: RowBatching | undefined;
  /** Answers lie in memory of their own, because user code sees them. */
  readonly copiesRows: boolean;
}

/** What one request wants of the engine. Its inputs have been checked against the signature. */
export interface EngineCall {
  readonly request: Pick<InferRequest, 'inputs' | 'outputs' | 'parameters'>;
  /** Names of outputs; empty means all. */
  readonly wanted: readonly string[];
  readonly signal: StopSignal;
}

export type EngineAnswer = Settled<readonly Tensor[]>;

export interface RowAnswers {
  /** In the order of the calls. */
  readonly answers: readonly EngineAnswer[];
  readonly executions: readonly Execution[];
}

/** Runs before the probe: the first one may be what a whole new pod was started for, and is to have the machine alone. */
const RUNS_BEFORE_PROBE = 2;
/** Runs until a verdict of the moment is looked at again; each time so many times more, so that the probes of a model's life cost next to nothing. */
const RUNS_BEFORE_NEXT_PROBE = 100;
const PROBES_BECOME_RARER = 10;

/**
 * Runs of a model over the rows of several requests. Owns the verdict whether its rows may be merged, and how many at once: a model that refuses a merged run but
 * takes each of its requests gets half as many from then on.
 */
export class RowRuns {
  readonly #session: EngineSession;
  readonly #options: RowRunsOptions;
  readonly #log: Logger;
  readonly #stop = new StopSource();
  /** Requests have rows, as far as the signature tells. */
  readonly #hasRows: boolean;
  #limit = 1;
  /** Runs to go before the probe; Infinity: there will be none. */
  #untilProbe = Infinity;
  #beforeNextProbe = RUNS_BEFORE_NEXT_PROBE;
  #hasToldRefusal = false;

  constructor(session: EngineSession, options: RowRunsOptions, log: Logger) {
    this.#session = session;
    this.#options = options;
    this.#log = log;
    const { batching } = options;
    const why = whyNoRows(session.signature);
    this.#hasRows = why === undefined;
    if (batching === undefined || batching.mode === 'off' || batching.maxBatchSize < 2) return;
    if (why !== undefined) this.#tellOff(why);
    else if (batching.mode === 'on') this.#limit = batching.maxBatchSize;
    else this.#untilProbe = RUNS_BEFORE_PROBE;
  }

  /** Rows that one run takes at the moment; undefined: one request at a time. */
  get maxRows(): number | undefined {
    return this.#limit > 1 ? this.#limit : undefined;
  }

  /** For statistics: a request counts as one where the model knows no rows. */
  countRows({ request }: EngineCall): number {
    return (this.#hasRows ? rowsOf(request.inputs) : undefined) ?? 1;
  }

  /** Never rejects. The answer is the engine's own, in memory of its own. */
  async runOne({ request, wanted, signal }: EngineCall): Promise<EngineAnswer> {
    const { modelName } = this.#options;
    if (signal.aborted) return { ok: false, error: new ServingError('cancelled', `Cancelled before model "${modelName}" ran`) };
    try {
      const value = await this.#session.run(request.inputs, wanted, signal);
      if (this.#untilProbe !== Infinity) this.#countDown(request.inputs);
      return { ok: true, value };
    } catch (error) {
      return { ok: false, error: toServingError(error, 'model_failed', `Model "${modelName}" failed while running`) };
    }
  }

  /** One run after the other: the caller has one place among the runs of the model. Calls of one form share a run. Never rejects. */
  async run(calls: readonly EngineCall[]): Promise<RowAnswers> {
    const answers = new Array<EngineAnswer>(calls.length);
    const executions: Execution[] = [];
    for (const group of this.#group(calls)) {
      // A session that blocks the event loop would keep cancellations unheard from one run to the next.
      if (executions.length > 0 && !this.#session.isConcurrent) await new Promise<void>((resolve) => setImmediate(resolve));
      const settled = await this.#runGroup(group, executions);
      for (let i = 0; i < group.length; i++) {
        const answer = settled[i];
        const place = group[i]?.place;
        if (answer !== undefined && place !== undefined) answers[place] = answer;
      }
    }
    return { answers, executions };
  }

  /** Ends the probe. The session is the caller's to free. */
  stop(): void {
    this.#untilProbe = Infinity;
    this.#stop.abort(undefined);
  }

  /** What shares a run, in the order of the first of each. */
  #group(calls: readonly EngineCall[]): readonly PlacedCall[][] {
    const groups: PlacedCall[][] = [];
    const open = new Map<string, { readonly group: PlacedCall[]; rows: number }>();
    calls.forEach((call, place) => {
      const rows = this.#limit > 1 ? rowsOf(call.request.inputs) : undefined;
      const placed = { call, place, rows };
      if (rows === undefined) {
        groups.push([placed]);
        return;
      }
      const form = formOf(call.request);
      const found = open.get(form);
      if (found !== undefined && found.rows + rows <= this.#limit) {
        found.group.push(placed);
        found.rows += rows;
        return;
      }
      const group = [placed];
      groups.push(group);
      open.set(form, { group, rows });
    });
    return groups;
  }

  async #runGroup(group: readonly PlacedCall[], executions: Execution[]): Promise<readonly EngineAnswer[]> {
    const live = group.filter(({ call }) => !call.signal.aborted);
    if (live.length < 2) return this.#runEach(group, executions);
    const merged = await this.#runMerged(live, executions);
    if (Array.isArray(merged)) {
      let next = 0;
      return group.map((placed) => (placed === live[next] ? merged[next++] : undefined) ?? cancelled(this.#options.modelName));
    }
    const answers = await this.#runEach(group, executions);
    // Who is gone says nothing about the model; what each of them can have alone, it refused together.
    if (merged.reason !== 'cancelled' && group.every((_, i) => answers[i]?.ok === true)) this.#takeRefusal(live, merged);
    return answers;
  }

  async #runEach(group: readonly PlacedCall[], executions: Execution[]): Promise<EngineAnswer[]> {
    const answers: EngineAnswer[] = [];
    for (const { call } of group) {
      const startedAt = performance.now();
      const answer = await this.runOne(call);
      answers.push(answer);
      if (answer.ok) executions.push({ members: 1, rows: this.countRows(call), inputMs: 0, inferMs: performance.now() - startedAt, outputMs: 0 });
    }
    return answers;
  }

  /** The answers, or why there are none. */
  async #runMerged(group: readonly PlacedCall[], executions: Execution[]): Promise<EngineAnswer[] | ServingError> {
    const stop = stopWhenAllAreGone(group.map(({ call }) => call.signal));
    const startedAt = performance.now();
    try {
      const rows = group.map((placed) => placed.rows ?? 0);
      const inputs = mergeRows(group.map(({ call }) => call.request.inputs));
      const mergedAt = performance.now();
      const outputs = await this.#session.run(inputs, group[0]?.call.wanted ?? [], stop.signal);
      const ranAt = performance.now();
      const answers = splitRows(outputs, rows, this.#options.copiesRows).map((value, i) =>
        group[i]?.call.signal.aborted === true ? cancelled(this.#options.modelName) : ({ ok: true, value } as const),
      );
      const total = rows.reduce((sum, count) => sum + count, 0);
      executions.push({
        members: group.length,
        rows: total,
        inputMs: mergedAt - startedAt,
        inferMs: ranAt - mergedAt,
        outputMs: performance.now() - ranAt,
      });
      return answers;
    } catch (error) {
      return toServingError(error, 'model_failed', `Model "${this.#options.modelName}" failed while running`);
    } finally {
      stop.forget();
    }
  }

  #takeRefusal(group: readonly PlacedCall[], error: ServingError): void {
    const rows = group.reduce((sum, placed) => sum + (placed.rows ?? 0), 0);
    const limit = Math.max(1, Math.floor(rows / 2));
    if (limit >= this.#limit) return;
    this.#limit = limit;
    if (this.#hasToldRefusal) return;
    this.#hasToldRefusal = true;
    const { modelName } = this.#options;
    const message = 'The model refuses rows of several requests together and takes each request alone: fewer rows share a run from now on';
    this.#log.warn({ model: modelName, rows, reason: error.message }, message);
  }

  #countDown(inputs: readonly Tensor[]): void {
    const rows = rowsOf(inputs);
    if (rows === undefined || rows === 0 || --this.#untilProbe > 0) return;
    this.#untilProbe = Infinity;
    // In memory of its own: the request's goes back with its answer.
    const sample = inputs.map((input) => takeRows(input, 0, 1, true));
    // The answer that brought the sample goes out first.
    setImmediate(() => void this.#probe(sample));
  }

  /** Never rejects. */
  async #probe(sample: readonly Tensor[]): Promise<void> {
    try {
      const { probeRows } = await import('./row-probe.ts');
      const verdict = await probeRows(this.#session, sample, this.#stop);
      if ('why' in verdict) {
        if (this.#beforeNextProbe === RUNS_BEFORE_NEXT_PROBE) this.#tellOff(verdict.why);
        if (verdict.isOfTheMoment !== true || this.#stop.aborted) return;
        this.#untilProbe = this.#beforeNextProbe;
        this.#beforeNextProbe *= PROBES_BECOME_RARER;
        return;
      }
      const { modelName, batching } = this.#options;
      this.#limit = Math.min(verdict.maxRows, batching?.maxBatchSize ?? 1);
      this.#log.info({ model: modelName, maxRows: this.#limit }, 'Batching is on: requests that wait share a run');
    } catch (error) {
      this.#log.debug({ err: error, model: this.#options.modelName }, 'The probe for batching was stopped');
    }
  }

  #tellOff(reason: string): void {
    this.#log.info({ model: this.#options.modelName, reason }, 'Batching is off: each request has a run of its own');
  }
}

interface PlacedCall {
  readonly call: EngineCall;
  readonly place: number;
  readonly rows: number | undefined;
}

function cancelled(modelName: string): EngineAnswer {
  return { ok: false, error: new ServingError('cancelled', `Cancelled while model "${modelName}" had the request`) };
}

/** A run goes on as long as somebody waits for a part of it. */
function stopWhenAllAreGone(signals: readonly StopSignal[]): { readonly signal: StopSignal; readonly forget: () => void } {
  const stop = new StopSource();
  let waiting = signals.length;
  const onGone = (): void => {
    if (--waiting === 0) stop.abort(undefined);
  };
  for (const signal of signals) signal.addEventListener('abort', onGone);
  return {
    signal: stop,
    forget: () => {
      for (const signal of signals) signal.removeEventListener('abort', onGone);
    },
  };
}
