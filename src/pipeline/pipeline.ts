import type { Batch, BatchResult } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import type { DefinedHandler } from '../handler/index.ts';
import type { EngineOptions, ModelSource, PredictorOptions } from '../engine/index.ts';
import type { NextModel } from './next-model.ts';
import type { RowBatching } from './row-runs.ts';

/** User code to run around the model. */
export interface HandlerSpec {
  /** Absolute path of the module. */
  readonly path: string;
  /** Requests inside user code at once. */
  readonly concurrency: number;
  /** Runs of the engine at once; user code waits its turn in `next`. */
  readonly engineRuns: number;
  /** Calls that may stay without an end after their request was given up; then the model is worn out. */
  readonly maxStuck: number;
}

/** All it takes to make a loaded model out of files; crosses to a child process as JSON. */
export interface PipelineSpec {
  readonly modelName: string;
  readonly modelVersion: string;
  /** Absent: a handler without a model file, or a predictor elsewhere. */
  readonly source?: ModelSource;
  readonly engineOptions: EngineOptions;
  /** Absent: each request has a run of its own. */
  readonly batching?: RowBatching;
  readonly handler?: HandlerSpec;
  /** Where `next` goes instead of an engine here. */
  readonly predictor?: PredictorOptions;
}

/** One loaded model: preprocess, engine, postprocess. Runs inside an executor and knows nothing of it. */
export interface Pipeline {
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Runs that may be in flight side by side without hurting; 1 for engines that block. */
  readonly isConcurrent: boolean;
  /** Batches that it takes at once whatever the instances, because it mostly waits; absent: as many as there are instances. */
  readonly concurrency?: number;
  /** A batch whose process died under it may run again. */
  readonly isRetryable: boolean;
  /** Never rejects: each member settles on its own. */
  run(batch: Batch): Promise<BatchResult>;
  dispose(): Promise<void>;
}

export interface PipelineDependencies {
  readonly log: Logger;
  /** Instead of the module at the specification's path, which then only gives its name. For tests of handlers. */
  readonly handler?: DefinedHandler;
  /** Instead of a model or a predictor elsewhere, behind the handler's `next`; owned by the pipeline. For tests of handlers. */
  readonly model?: NextModel;
}
