import { ServingError, isServingError } from '../core/errors.ts';
import type { SpecOptions } from './model-spec.ts';
import { DEFAULT_MODEL_NAME, readLayout, type Layout, type LayoutReader, type ModelLocation } from './layout.ts';

interface ServedOptions extends Pick<SpecOptions, 'handler' | 'predictor'> {
  readonly modelName: string | undefined;
  readonly modelDir: string | undefined;
}

/**
 * The layout of the model directory, or a single model without files: a handler may be all there is of a model, and one whose predictor is elsewhere has none
 * here. Throws as `readLayout`, and invalid_request for a handler that would belong to several models.
 */
export async function readServedLayout({ modelName, modelDir, handler, predictor }: ServedOptions, reader: LayoutReader): Promise<Layout> {
  const name = modelName ?? DEFAULT_MODEL_NAME;
  const path = reader.modelDir;
  const location: ModelLocation = { name, path, versions: [{ version: '1', path }] };
  if (predictor !== undefined || modelDir === undefined) return { kind: 'single', models: [{ ...location, isFileless: true }] };
  if (handler?.path === undefined) return await readLayout(modelName, reader);
  const layout = await readLayoutOr({ kind: 'single', models: [location] }, modelName, reader);
  if (layout.models.length > 1) {
    throw new ServingError(
      'invalid_request',
      `Cannot run --handler around the ${layout.models.length} models of ${path}: name the directory of one of them with --model_dir, ` +
        'or put handlers into their directories and set --enable_model_handlers=true',
    );
  }
  return layout;
}

/** What is wrong with the directory is said when the model is loaded. */
async function readLayoutOr(fallback: Layout, modelName: string | undefined, reader: LayoutReader): Promise<Layout> {
  try {
    return await readLayout(modelName, reader);
  } catch (error) {
    if (isServingError(error)) return fallback;
    throw error;
  }
}
