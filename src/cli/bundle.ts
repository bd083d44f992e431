import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { build as esbuildBuild, BuildResult, Message, Plugin } from 'esbuild';
import { ServingError } from '../core/errors.ts';

/** First line of every bundle: a file without it is never replaced. */
export const BUNDLE_MARK = '// Packed by `kserve-node pack`.';

/** What a ConfigMap holds at most. */
export const CONFIG_MAP_BYTES = 1024 * 1024;

/** A handler and all that it imports, as one ES module. */
export interface Bundle {
  readonly code: string;
  readonly byteLength: number;
  /** Whether names and lines were given up to get below a ConfigMap's limit. */
  readonly isMinified: boolean;
  /** Packages inside, sorted. */
  readonly packages: readonly string[];
  /** Packages with native code, which no bundle can carry, sorted. */
  readonly nativePackages: readonly string[];
}

type Build = typeof esbuildBuild;

/**
 * Bundles the module at an absolute path. `kserve-node` stays outside: the server resolves it to itself. Rejects with ServingError: one line for each fault of
 * the code, with file and line.
 */
export async function bundleHandler(path: string): Promise<Bundle> {
  const build = await importEsbuild();
  const readable = await buildOnce(build, path, false);
  return readable.byteLength <= CONFIG_MAP_BYTES ? readable : await buildOnce(build, path, true);
}

async function importEsbuild(): Promise<Build> {
  try {
    return (await import('esbuild')).build;
  } catch (error) {
    throw new ServingError('internal', 'Cannot pack without esbuild: npm install --save-dev esbuild', { cause: error });
  }
}

/**
 * Libraries in CommonJS ask for `require`, `__dirname` and `__filename`, which ES modules lack. esbuild renames what the user's code calls `require`, and
 * replaces the other two only where nobody has declared them.
 */
const BANNER = `${BUNDLE_MARK}
import { createRequire as kserveNodeCreateRequire } from 'node:module';
import { fileURLToPath as kserveNodeToPath } from 'node:url';
const require = kserveNodeCreateRequire(import.meta.url), kserveNodeFilename = kserveNodeToPath(import.meta.url), kserveNodeDirname = kserveNodeToPath(new URL('.', import.meta.url));`;

async function buildOnce(build: Build, path: string, isMinified: boolean): Promise<Bundle> {
  const nativeFiles: string[] = [];
  let result: BuildResult<{ write: false; metafile: true }>;
  try {
    result = await build({
      entryPoints: [path],
      absWorkingDir: dirname(path),
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
      target: 'node20.19',
      external: ['kserve-node', 'kserve-node/*'],
      banner: { js: BANNER },
      define: { __dirname: 'kserveNodeDirname', __filename: 'kserveNodeFilename' },
      minify: isMinified,
      keepNames: true,
      logLevel: 'silent',
      plugins: [leaveNativeFiles(nativeFiles)],
    });
  } catch (error) {
    throw new ServingError('handler_failed', describeFailure(error, path), { cause: error });
  }
  const [output] = result.outputFiles;
  const [facts] = Object.values(result.metafile.outputs);
  if (output === undefined || facts?.exports.includes('default') !== true) {
    throw new ServingError('handler_failed', `Cannot pack ${basename(path)}: it has no default export, write export default defineHandler({ … })`);
  }
  const folders = packageFolders(Object.keys(facts.inputs).map((input) => join(dirname(path), input)));
  return {
    code: output.text,
    byteLength: output.contents.byteLength,
    isMinified,
    packages: [...folders.keys()].sort(),
    nativePackages: await findNative(folders, nativeFiles),
  };
}

/** A file of machine code cannot be part of a module: it stays where it is. */
function leaveNativeFiles(found: string[]): Plugin {
  return {
    name: 'leave-native-files',
    setup: (build) => {
      build.onResolve({ filter: /\.node$/ }, ({ path, resolveDir }) => {
        found.push(join(resolveDir, path));
        return { path, external: true };
      });
    },
  };
}

function describeFailure(error: unknown, path: string): string {
  const errors = typeof error === 'object' && error !== null && 'errors' in error ? (error.errors as readonly Message[]) : [];
  if (errors.length === 0) return `Cannot pack ${basename(path)}: ${error instanceof Error ? error.message : String(error)}`;
  const lines = errors.map(({ text, location }) => (location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`));
  return `Cannot pack ${basename(path)}: ${lines.join('\n')}`;
}

const PACKAGE = /^(.*[/\\]node_modules[/\\])((?:@[^/\\]+[/\\])?[^/\\]+)/;

/** Folders of the packages that the files belong to, by name. */
function packageFolders(files: readonly string[]): ReadonlyMap<string, string> {
  const folders = new Map<string, string>();
  for (const file of files) {
    const [folder, , name] = PACKAGE.exec(file) ?? [];
    if (folder !== undefined && name !== undefined) folders.set(name.replaceAll('\\', '/'), folder);
  }
  return folders;
}

/** Packages that these help to find or build their machine code. */
const NATIVE_TOOLS = ['bindings', 'node-gyp-build', 'node-addon-api', 'prebuild-install', '@mapbox/node-pre-gyp', 'node-gyp-build-optional-packages'];

async function findNative(folders: ReadonlyMap<string, string>, nativeFiles: readonly string[]): Promise<readonly string[]> {
  const native = new Set<string>();
  for (const file of nativeFiles) native.add([...packageFolders([file]).keys()][0] ?? basename(file));
  for (const [name, folder] of folders) {
    const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
    const needed = Object.keys({ ...(manifest['dependencies'] as object | undefined), ...(manifest['optionalDependencies'] as object | undefined) });
    const hasTool = needed.some((dependency) => NATIVE_TOOLS.includes(dependency) || dependency.startsWith(`@img/${name}-`));
    if (hasTool || manifest['gypfile'] === true || manifest['binary'] !== undefined) native.add(name);
  }
  return [...native].sort();
}
