import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Logger } from '../core/context.ts';
import type { Signature } from '../core/metadata.ts';
import { loadHandler, handlerFailed, type DefinedHandler, type Handler, type LoadContext } from '../handler/index.ts';
import { createHandlerPipeline } from './handler-pipeline.ts';
import { handlerFault } from './handler-fault.ts';
import { HandlerMetrics } from './handler-metrics.ts';
import type { NextModel } from './next-model.ts';
import type { HandlerSpec, Pipeline, PipelineDependencies, PipelineSpec } from './pipeline.ts';
import { runAs } from './running-request.ts';

/** Imports the handler beside the loading of its model, then calls its `load`. Rejects with ServingError handler_failed; then the model is freed. */
export async function loadHandlerPipeline(
  spec: PipelineSpec,
  handlerSpec: HandlerSpec,
  loadingModel: Promise<NextModel | undefined>,
  { log, handler }: PipelineDependencies,
): Promise<Pipeline> {
  const [imported, loaded] = await Promise.allSettled([handler ?? loadHandler(handlerSpec.path), loadingModel]);
  const model = loaded.status === 'fulfilled' ? loaded.value : undefined;
  try {
    if (loaded.status === 'rejected') throw loaded.reason;
    if (imported.status === 'rejected') throw imported.reason;
    return await assemble(spec, handlerSpec, imported.value, model, log);
  } catch (thrown) {
    await model?.dispose();
    throw thrown;
  }
}

async function assemble(
  spec: PipelineSpec,
  handlerSpec: HandlerSpec,
  handler: DefinedHandler,
  model: NextModel | undefined,
  log: Logger,
): Promise<Pipeline> {
  const { modelName, modelVersion } = spec;
  const file = basename(handlerSpec.path);
  if (model === undefined && handler.predict === undefined && handler.explain === undefined) {
    throw handlerFailed(`Cannot load handler ${handlerSpec.path}: there is no model file and it has no predict; add predict, or a model file`);
  }
  const metrics = new HandlerMetrics(log);
  const shared: LoadContext = {
    modelName,
    modelVersion,
    model: model?.signature === undefined ? undefined : { ...model.signature, platform: model.platform, properties: model.properties },
    files: await directoryOf(spec, handlerSpec),
    log: log.child({ model: modelName }),
    counter: metrics.counter,
    histogram: metrics.histogram,
  };
  try {
    await runAs({ modelName, requestId: undefined, log }, async () => handler.load?.(shared));
  } catch (thrown) {
    throw handlerFault(file, 'load', thrown);
  }
  const { concurrency, maxStuck } = handlerSpec;
  const signature = publishedSignature(handler, model?.signature);
  return createHandlerPipeline({
    handler,
    file,
    modelName,
    modelVersion,
    model,
    signature,
    concurrency,
    maxStuck,
    shared,
    metrics,
    log,
  });
}

/** What clients see: the handler's declarations, the model's where it has none. */
function publishedSignature({ inputs, outputs }: Pick<Handler, 'inputs' | 'outputs'>, model: Signature | undefined): Signature {
  const signature = { inputs: inputs ?? model?.inputs ?? [], outputs: outputs ?? model?.outputs ?? [] };
  return inputs === undefined && model === undefined ? { isOpen: true, ...signature } : signature;
}

async function directoryOf({ source }: PipelineSpec, { path }: HandlerSpec): Promise<string> {
  if (source === undefined) return dirname(path);
  return (await stat(source.path)).isDirectory() ? source.path : dirname(source.path);
}
