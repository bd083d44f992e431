import { detectEngine } from '../engine/index.ts';
import type { Pipeline, PipelineDependencies, PipelineSpec } from './pipeline.ts';
import { createPipeline } from './session-pipeline.ts';

/** Finds the engine for the model's files and loads it. Rejects with ServingError model_failed: one line that names the file and the reason. */
export async function loadPipeline(spec: PipelineSpec, deps: PipelineDependencies): Promise<Pipeline> {
  const engine = await detectEngine(spec.source);
  const session = await engine.load(spec.source, spec.engineOptions, deps.log);
  return createPipeline(spec, session);
}
