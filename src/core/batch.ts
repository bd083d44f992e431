import type { ServingError } from './errors.ts';
import type { InferRequest, InferResponse } from './infer.ts';
import type { StopSignal } from './stop-signal.ts';

/** One request of a batch with its own way out: a run is stopped only when all members of it are gone. */
export interface BatchMember {
  readonly request: InferRequest;
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
}

/** `responses[i]` answers `members[i]`: one bad request never fails its neighbours. */
export interface BatchResult {
  readonly responses: readonly Settled<InferResponse>[];
  readonly timings: StageTimings;
}
