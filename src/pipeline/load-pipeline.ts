import { ServingError } from '../core/errors.ts';
import { createRemotePredictor, detectEngine, type EngineSession, type PredictorOptions } from '../engine/index.ts';
import type { NextModel } from './next-model.ts';
import type { Pipeline, PipelineDependencies, PipelineSpec } from './pipeline.ts';
import { createPipeline } from './session-pipeline.ts';

/**
 * Loads what the specification asks for: an engine for the model's files, or a predictor elsewhere, and a handler around it or alone. Rejects with ServingError
 * model_failed or handler_failed: one line that names the file and the reason.
 */
export async function loadPipeline(spec: PipelineSpec, deps: PipelineDependencies): Promise<Pipeline> {
  const { handler, predictor, source } = spec;
  if (handler !== undefined) {
    // Imported on first use: a model without user code needs none of it.
    const { loadHandlerPipeline } = await import('./load-handler-pipeline.ts');
    return loadHandlerPipeline(spec, handler, loadNextModel(spec, handler.engineRuns, deps), deps);
  }
  if (predictor !== undefined) {
    const { createRemotePipeline } = await import('./remote-pipeline.ts');
    return createRemotePipeline(identityOf(spec), await connect(predictor, spec, deps));
  }
  if (source === undefined)
    throw new ServingError('model_failed', `Cannot load model "${spec.modelName}": it has no files, no handler and no predictor`);
  return createPipeline(spec, await loadSession(spec, source, deps), deps.log);
}

async function loadNextModel(spec: PipelineSpec, engineRuns: number, deps: PipelineDependencies): Promise<NextModel | undefined> {
  if (deps.model !== undefined) return deps.model;
  if (spec.predictor !== undefined) return await connect(spec.predictor, spec, deps);
  if (spec.source === undefined) return undefined;
  const [{ sessionModel }, session] = await Promise.all([import('./next-model.ts'), loadSession(spec, spec.source, deps)]);
  return sessionModel(spec, session, engineRuns, deps.log);
}

async function loadSession(spec: PipelineSpec, source: NonNullable<PipelineSpec['source']>, { log }: PipelineDependencies): Promise<EngineSession> {
  const engine = await detectEngine(source);
  return engine.load(source, spec.engineOptions, log);
}

async function connect(options: PredictorOptions, { modelName }: PipelineSpec, { log }: PipelineDependencies): Promise<NextModel> {
  const { remoteModel } = await import('./next-model.ts');
  return remoteModel(await createRemotePredictor(options, modelName, log));
}

function identityOf({ modelName, modelVersion }: PipelineSpec): Pick<PipelineSpec, 'modelName' | 'modelVersion'> {
  return { modelName, modelVersion };
}
