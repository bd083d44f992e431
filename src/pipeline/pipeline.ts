import type { Batch, BatchResult } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import type { Signature } from '../core/metadata.ts';
import type { EngineOptions, ModelSource } from '../engine/index.ts';

/** All it takes to make a loaded model out of files; crosses to a child process as JSON. */
export interface PipelineSpec {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly source: ModelSource;
  readonly engineOptions: EngineOptions;
}

/** One loaded model: preprocess, engine, postprocess. Runs inside an executor and knows nothing of it. */
export interface Pipeline {
  readonly signature: Signature;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Runs that may be in flight side by side without hurting; 1 for engines that block. */
  readonly isConcurrent: boolean;
  /** Never rejects: each member settles on its own. */
  run(batch: Batch): Promise<BatchResult>;
  dispose(): Promise<void>;
}

export interface PipelineDependencies {
  readonly log: Logger;
}
