import { basename, extname, resolve } from 'node:path';
import { isServingError, ServingError } from '../core/errors.ts';
import { readArguments, refuseArguments } from './arguments.ts';
import { BUNDLE_MARK, bundleHandler, CONFIG_MAP_BYTES, type Bundle } from './bundle.ts';
import { formatBytes } from './format-bytes.ts';
import { EXIT_FAILED, EXIT_OK, type Host } from './host.ts';
import { replaceFile } from './replace-file.ts';

/** `pack HANDLER`: bundles a handler with its dependencies into one file and says how it reaches a pod. */
export async function runPack(args: readonly string[], host: Host): Promise<number> {
  const wanted = await readArguments(args, { word: 'one handler file', usage: 'pack HANDLER [--out FILE]', flags: ['out'] });
  if ('problems' in wanted) return refuseArguments(wanted.problems, host);
  const path = resolve(wanted.word);
  const { out = `${basename(path, extname(path))}.mjs` } = wanted.values;
  if (!out.endsWith('.mjs')) return refuseArguments([`--out takes a name that ends in .mjs, got ${out}`], host);
  try {
    if (resolve(out) === path) throw new ServingError('conflict', `Cannot pack ${basename(path)} into itself: choose another --out`);
    const bundle = await bundleHandler(path);
    const file = await replaceFile(out, bundle.code, BUNDLE_MARK);
    host.stdout.write(renderBundle(file, bundle));
    host.stderr.write(warnings(bundle));
    return EXIT_OK;
  } catch (error) {
    if (!isServingError(error)) throw error;
    host.stderr.write(`${error.message}\n`);
    return EXIT_FAILED;
  }
}

function renderBundle(file: string, { byteLength, isMinified, packages }: Bundle): string {
  const name = basename(file);
  const holds =
    packages.length === 0 ? 'no packages' : `${packages.length} ${packages.length === 1 ? 'package' : 'packages'}: ${packages.join(', ')}`;
  const wrote = `Wrote ${file}: ${formatBytes(byteLength)}${isMinified ? ' (minified, because it is large)' : ''}, ${holds}\n`;
  const serve = `\nServe it\n  kserve-node serve --handler=${file}\n`;
  const directory = `\nIn a cluster, with a model: upload it beside the model files as handler.mjs and serve with\n  --enable_model_handlers=true\n`;
  if (byteLength > CONFIG_MAP_BYTES) return `${wrote}${serve}${directory}`;
  return `${wrote}${serve}${directory}
In a cluster, as a ConfigMap
  kubectl create configmap my-handler --from-file=${file}
mounted as volume at /mnt/handler of the container, which serves with
  --handler=/mnt/handler/${name}
`;
}

function warnings({ byteLength, nativePackages }: Bundle): string {
  const tooLarge =
    byteLength > CONFIG_MAP_BYTES
      ? `warning: ${formatBytes(byteLength)} are more than a ConfigMap holds (1 MiB): use the model directory, or an image\n`
      : '';
  const native =
    nativePackages.length > 0
      ? `warning: native modules cannot be packed (${nativePackages.join(', ')}): build an image that has them in node_modules\n`
      : '';
  return `${tooLarge}${native}`;
}
