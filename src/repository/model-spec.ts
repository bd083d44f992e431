import type { Logger } from '../core/context.ts';
import { toServingError } from '../core/errors.ts';
import type { EngineOptions, PredictorOptions } from '../engine/index.ts';
import type { PipelineSpec, RowBatching } from '../pipeline/index.ts';
import type { ModelLocation, ModelVersion } from './layout.ts';
import { findModelHandler } from './model-handler.ts';

/** Which user code runs around models, and how. */
export interface HandlerOptions {
  /** Absolute path of the handler of the only model (`--handler`). */
  readonly path: string | undefined;
  /** Whether handlers in model directories run. */
  readonly enableModelHandlers: boolean;
  readonly concurrency: number;
  readonly maxStuck: number;
}

export interface SpecOptions {
  /** Runs side by side. */
  readonly instances: number;
  readonly engineOptions: EngineOptions;
  /** Absent: each request has a run of its own. */
  readonly batching?: RowBatching;
  /** Absent: no user code runs. */
  readonly handler?: HandlerOptions;
  /** Asked instead of models here. */
  readonly predictor?: PredictorOptions;
}

export interface SpecDependencies {
  /** As of LayoutReader. */
  readonly detect: (path: string) => Promise<unknown>;
  readonly log: Logger;
}

/** What an executor needs to load a version. A model with a handler may have no file: the handler is all of it then, and the log says so. */
export async function specify(
  location: ModelLocation,
  { version, path }: ModelVersion,
  options: SpecOptions,
  deps: SpecDependencies,
): Promise<PipelineSpec> {
  const { engineOptions, predictor, batching } = options;
  const common = { modelName: location.name, modelVersion: version, engineOptions, ...(batching === undefined ? undefined : { batching }) };
  const handlerPath = await chooseHandler(location, path, options.handler);
  if (options.handler === undefined || handlerPath === undefined) {
    return predictor === undefined ? { ...common, source: { path } } : { ...common, predictor };
  }
  const { concurrency, maxStuck } = options.handler;
  const handler = { path: handlerPath, concurrency, maxStuck, engineRuns: options.instances };
  if (predictor !== undefined) return { ...common, handler, predictor };
  if (location.isFileless === true) return { ...common, handler };
  try {
    await deps.detect(path);
    return { ...common, handler, source: { path } };
  } catch (error) {
    deps.log.info({ model: location.name, reason: toServingError(error).message }, 'The handler runs without a model file');
    return { ...common, handler };
  }
}

async function chooseHandler(location: ModelLocation, path: string, options: HandlerOptions | undefined): Promise<string | undefined> {
  if (options?.path !== undefined) return options.path;
  return options?.enableModelHandlers === true ? await findModelHandler(path, location.path) : undefined;
}
