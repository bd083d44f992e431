import { ServingError } from '../core/errors.ts';
import type { Engine, ModelSource } from './engine.ts';
import { describeForeignModel } from './foreign-model.ts';

export type * from './engine.ts';

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
