import type { Batch, BatchResult } from '../core/batch.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import type { PipelineSpec } from '../pipeline/index.ts';

/** A model ready to run in an executor. */
export interface LoadedModel {
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Batches it takes at once: `instances` when it can run them side by side, 1 when not, 0 while its process is being replaced. */
  readonly capacity: number;
  /** Called after each change of `capacity`. One listener: the model's scheduler. */
  onCapacityChange(listener: () => void): void;
  /**
   * Runs a batch. Never rejects: when the process dies under it, members settle with executor_lost; when a member's signal aborts it settles with
   * cancelled, and a run whose members are all gone is stopped (in `process`, by ending the child when it does not stop in time). Members of a retryable model
   * that were lost with a process, and whose deadline has not passed, run once more, alone, before they settle.
   */
  run(batch: Batch): Promise<BatchResult>;
  /** Called after each batch once user code has left so much behind that the model should be loaded anew. One listener. */
  onWornOut(listener: () => void): void;
  /**
   * `warmUp` runs with each replacement of a lost process before that takes batches. What it rejects with is logged, and the model serves all the same. One
   * listener; absent where there is no process to lose.
   */
  onReplacement?(warmUp: (replacement: ColdModel) => Promise<void>): void;
  /** Waits for batches in flight, then frees the model. */
  unload(): Promise<void>;
}

/** A model that can run and does not serve yet. */
export type ColdModel = Pick<LoadedModel, 'signature' | 'capabilities' | 'capacity' | 'run'>;

export type ExecutorState = 'idle' | 'ready' | 'restarting' | 'failed' | 'stopped';

/** Where pipelines run: in the serving process (`inline`) or in a supervised child (`process`). One contract suite for both. */
export interface Executor {
  readonly isolation: 'inline' | 'process';
  /** `failed`: the child died too often in too short a time; it is still tried again, ever more rarely. */
  readonly state: ExecutorState;
  /** Rejects with ServingError model_failed (cannot be loaded), deadline_exceeded (load timeout) or cancelled (`signal`). */
  load(spec: PipelineSpec, instances: number, signal: AbortSignal): Promise<LoadedModel>;
  /** Waits up to `graceMs` for batches in flight, then ends. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/** Silent by default; server.ts connects telemetry. */
export interface ExecutorObserver {
  /** A process has said its first word. */
  started?(): void;
  /** A child ended by itself or was killed; `why` is for people. */
  lost?(why: string): void;
  /** All models are up again, `downMs` milliseconds after the loss. */
  restarted?(downMs: number): void;
}
