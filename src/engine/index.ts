import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { Engine, ModelSource } from './engine.ts';
import { describeForeignModel } from './foreign-model.ts';
import type { PredictorHealth, PredictorOptions, RemotePredictor } from './remote/predictor.ts';

export type * from './engine.ts';
export type * from './remote/predictor.ts';
export { toPredictorOptions } from './remote/predictor-options.ts';

/** One line an engine. Imported on first use: nothing heavy loads before a model needs it. */
const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  onnx: async () => (await import('./onnx/index.ts')).onnxEngine,
};

/** The engine that runs the model at a path. Throws model_failed with one line that names the path and what lies there. */
export async function detectEngine(source: ModelSource): Promise<Engine> {
  for (const load of Object.values(ENGINES)) {
    const engine = await load();
    if (await engine.recognizes(source)) return engine;
  }
  throw new ServingError('model_failed', `Cannot load model ${source.path}: ${await describeForeignModel(source.path)}`);
}

/** Throws model_failed for a name that no engine of this build has. */
export async function engineByName(name: string): Promise<Engine> {
  const load = Object.hasOwn(ENGINES, name) ? ENGINES[name] : undefined;
  if (load === undefined) throw new ServingError('model_failed', `Cannot find engine "${name}": this build has ${Object.keys(ENGINES).join(', ')}`);
  return load();
}

/** Opens the library that the first model will most likely take, on other threads where it can. Never rejects: what is wrong the load tells. */
export async function prepareEngine(): Promise<void> {
  await (await import('./onnx/index.ts')).prepareOnnx();
}

/** A predictor elsewhere; nothing is sent yet. Throws model_failed for options that cannot work, naming the option. */
export async function createRemotePredictor(options: PredictorOptions, modelName: string, log: Logger): Promise<RemotePredictor> {
  return (await import('./remote/index.ts')).createRemotePredictor(options, modelName, log);
}

/** Begins to ask at once, and then every `intervalMs`; more often while it is not ready. Throws as `createRemotePredictor`. */
export async function createPredictorHealth(
  options: PredictorOptions,
  modelName: string,
  log: Logger,
  timing: { readonly intervalMs: number },
): Promise<PredictorHealth> {
  return (await import('./remote/index.ts')).createPredictorHealth(options, modelName, log, timing);
}
