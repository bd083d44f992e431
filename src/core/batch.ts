import type { RequestContext } from './context.ts';
import type { ServingError } from './errors.ts';
import type { InferRequest, InferResponse, Verb } from './infer.ts';
import type { StopSignal } from './stop-signal.ts';

/** One request of a batch with its own way out: a run is stopped only when all members of it are gone. */
export interface BatchMember {
  readonly verb: Verb;
  readonly request: InferRequest;
  readonly ctx: RequestContext;
  /** Aborts when nobody waits for the answer any more: client gone, or deadline passed. */
  readonly signal: StopSignal;
}

/** Requests that run together. They are never merged tensors: rows are merged and split by the pipeline. */
export interface Batch {
  readonly members: readonly BatchMember[];
}

export type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ServingError };

/** Milliseconds spent in the pipeline, the same for all members of a batch. */
export interface StageTimings {
  readonly preprocessMs: number;
  readonly predictMs: number;
  readonly postprocessMs: number;
  /** Absent when nothing was explained. */
  readonly explainMs?: number;
}

/** One run of the engine, for whoever counts them: Triton's statistics call it an execution. Times in milliseconds. */
export interface Execution {
  /** Requests whose rows it computed. */
  readonly members: number;
  /** Rows of all of them; a request to a model without rows counts as one. */
  readonly rows: number;
  /** Checks, and gathering of rows. */
  readonly inputMs: number;
  readonly inferMs: number;
  /** Handing rows back to their requests. */
  readonly outputMs: number;
}

/** A counter's increment or a histogram's observation by user code, on its way to telemetry. */
export interface Measurement {
  readonly kind: 'counter' | 'histogram';
  /** As the handler named it; a valid Prometheus name. */
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Upper bounds of a histogram without +Inf; absent: telemetry's own. */
  readonly buckets?: readonly number[];
}

/** `responses[i]` answers `members[i]`: one bad request never fails its neighbours. */
export interface BatchResult {
  readonly responses: readonly Settled<InferResponse>[];
  readonly timings: StageTimings;
  readonly measurements?: readonly Measurement[];
  /** Runs of the engine that have ended since the last result of the same model; absent: exactly one, of all members and as long as `timings` say. */
  readonly executions?: readonly Execution[];
  /** Rows of several requests that the model takes in one run from now on, at most. Absent: it takes one request at a time. */
  readonly maxRows?: number;
  /** So much of user code never came to an end that the model should be loaded anew. */
  readonly isWornOut?: true;
}
