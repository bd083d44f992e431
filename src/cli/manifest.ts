import { resolve } from 'node:path';
import { isServingError } from '../core/errors.ts';
import { isUri } from '../core/uri.ts';
import { readManifestPlan, renderManifest, type FoundModel } from '../manifest/index.ts';
import { refuseArguments } from './arguments.ts';
import { EXIT_FAILED, EXIT_OK, type Host } from './host.ts';

/** `manifest DIR|URI`: prints an InferenceService for a model. */
export async function runManifest(args: readonly string[], host: Host): Promise<number> {
  const [source = '', ...flags] = args;
  if (source === '' || source.startsWith('-'))
    return refuseArguments(['expected a model first, a directory or a URI: write kserve-node manifest DIR|URI'], host);
  let found: FoundModel;
  try {
    found = isUri(source) ? { source } : { source: resolve(source), format: await detectFormat(resolve(source)) };
  } catch (error) {
    if (!isServingError(error)) throw error;
    host.stderr.write(`${error.message}\n`);
    return EXIT_FAILED;
  }
  const plan = readManifestPlan(found, flags);
  if ('problems' in plan) return refuseArguments(plan.problems, host);
  host.stdout.write(renderManifest(plan));
  return EXIT_OK;
}

/** Of the model in a directory, in a file, or in the newest version of a repository's directory. Throws when no engine of this build has it. */
async function detectFormat(path: string): Promise<string> {
  const [{ detectEngine }, { readLayout }, { SILENT_LOGGER }] = await Promise.all([
    import('../engine/index.ts'),
    import('../repository/index.ts'),
    import('../core/context.ts'),
  ]);
  const { models } = await readLayout(undefined, { modelDir: path, detect: (at) => detectEngine({ path: at }), log: SILENT_LOGGER });
  const version = models[0]?.versions[0];
  return (await detectEngine({ path: version?.path ?? path })).name;
}
