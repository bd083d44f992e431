import type { Batch, BatchResult, Execution, Measurement, StageTimings } from '../core/batch.ts';
import type { RequestContext } from '../core/context.ts';
import type { ErrorReason } from '../core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../core/infer.ts';

/** What a request asks of a model. */
export interface Job {
  readonly verb: Verb;
  readonly request: InferRequest;
  /**
   * A level from 1, the highest, on; 0, none and levels that the model does not have: the model's default (as Triton). `low`: starts only when nothing of any
   * level waits.
   */
  readonly priority?: number | 'low';
  /** Milliseconds after which it lets the others go first; absent: as the model's queue has it. */
  readonly delayAfterMs?: number;
}

/**
 * The queue of a model. Owns time: queue, deadlines, cancellation. Explanations wait in a queue of their own and run one at a time beside the model's capacity:
 * they ask the model many times, and must not hold the slot that they need.
 */
export interface Scheduler {
  /** Requests waiting, of low priority and for explanations too, without those running. */
  readonly queueDepth: number;
  /** Requests whose batch is running, those included whose caller has its answer already (deadline, cancelled) while the run is still stopping. */
  readonly running: number;
  /**
   * Resolves with the model's answer. Rejects with ServingError: overloaded (queue full), deadline_exceeded (in the queue: the model was not touched; or while
   * running: the run is told to stop), cancelled (`ctx.signal`), server_not_ready (draining), or what the run failed with.
   */
  submit(job: Job, ctx: RequestContext): Promise<InferResponse>;
  /**
   * Takes no more, waits up to `graceMs` for what is queued and running, then rejects the rest with server_not_ready and tells their runs to stop.
   * May be called again: the earliest end of grace holds for all callers.
   */
  drain(graceMs: number): Promise<void>;
}

/** Where batches run; an executor's LoadedModel fits it. */
export interface BatchRunner {
  readonly capacity: number;
  onCapacityChange(listener: () => void): void;
  run(batch: Batch): Promise<BatchResult>;
}

/** Silent by default; server.ts connects telemetry. Times in milliseconds. */
export interface SchedulerObserver {
  /** After each change of the queue's length. */
  queued?(depth: number): void;
  /** `size` requests leave the queue together, with `rows` rows in all; each waited so long. */
  batchStarted?(size: number, waitMs: readonly number[], rows: number): void;
  batchFinished?(size: number, runMs: number, timings: StageTimings): void;
  /** The engine has run once; after the `batchFinished` of the batch that told of it. A batch may take several runs, and share one with others. */
  executed?(execution: Execution): void;
  /** User code counted or measured something while a batch ran. */
  measured?(measurements: readonly Measurement[]): void;
  /** A request has its answer; after `batchFinished`. Not for those of low priority, which belong to another request. */
  answered?(ctx: RequestContext, waitMs: number, timings: StageTimings): void;
  /** The scheduler itself gave the request up: overloaded, deadline_exceeded, cancelled or server_not_ready. */
  rejected?(reason: ErrorReason): void;
}
