import { basename, dirname, extname, resolve } from 'node:path';
import { SILENT_LOGGER } from '../core/context.ts';
import { isServingError, ServingError } from '../core/errors.ts';
import { readArguments, refuseArguments } from './arguments.ts';
import { EXIT_FAILED, EXIT_OK, type Host } from './host.ts';
import { interfaceName, renderModelTypes, TYPES_MARK } from './model-types.ts';
import { openModel } from './open-model.ts';
import { replaceFile } from './replace-file.ts';

/** `types DIR`: writes the types of a model's inputs and outputs, of its newest version when it has several. `--out -` prints them. */
export async function runTypes(args: readonly string[], host: Host): Promise<number> {
  const wanted = await readArguments(args, { word: 'one directory or file', usage: 'types DIR [--out FILE]', flags: ['out'] });
  if ('problems' in wanted) return refuseArguments(wanted.problems, host);
  const { out } = wanted.values;
  if (out !== undefined && out !== '-' && !out.endsWith('.d.ts')) return refuseArguments([`--out takes a name that ends in .d.ts, got ${out}`], host);
  try {
    const { name, path } = await findModel(resolve(wanted.word));
    const text = await describeModel(name, path, host);
    if (out === '-') host.stdout.write(text);
    else host.stdout.write(renderHint(await replaceFile(out ?? `${name}.d.ts`, text, TYPES_MARK), interfaceName(name)));
    return EXIT_OK;
  } catch (error) {
    if (!isServingError(error)) throw error;
    host.stderr.write(`${error.message}\n`);
    return EXIT_FAILED;
  }
}

/** The one model at a path, by its newest version. Its name is that of the directory, or of the file. */
async function findModel(path: string): Promise<{ readonly name: string; readonly path: string }> {
  const [{ detectEngine }, { readLayout }] = await Promise.all([import('../engine/index.ts'), import('../repository/index.ts')]);
  const { models } = await readLayout(undefined, { modelDir: path, detect: (at) => detectEngine({ path: at }), log: SILENT_LOGGER });
  const [model] = models;
  const newest = model?.versions[0];
  if (models.length > 1 || model === undefined || newest === undefined) {
    const names = models.map((found) => found.name);
    throw new ServingError(
      'model_failed',
      `Cannot write types for ${path}: it holds several models (${names.join(', ')}), name one of their directories`,
    );
  }
  return { name: model.path === path ? nameOf(path) : model.name, path: newest.path };
}

/** After the directory or file; a version's directory is named after the one around it. */
function nameOf(path: string): string {
  const name = basename(path, MODEL_FILE.test(path) ? extname(path) : '');
  return (/^\d+$/.test(name) ? basename(dirname(path)) : name) || 'model';
}

const MODEL_FILE = /\.(onnx|ort)$/;

async function describeModel(name: string, path: string, host: Host): Promise<string> {
  const session = await openModel(path, host);
  try {
    return renderModelTypes(name, session.signature);
  } finally {
    await session.dispose();
  }
}

function renderHint(file: string, type: string): string {
  return `Wrote ${file}\n\nIn a handler beside it\n  import type { ${type} } from './${basename(file)}';\n  export default defineHandler<${type}>({ … });\n`;
}
