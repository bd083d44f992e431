import { access } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { ServingError } from '../core/errors.ts';
import { isDefinedHandler, type DefinedHandler } from './define-handler.ts';
import { describeThrown, describeValue, handlerFailed } from './handler-error.ts';
import { importTypeScript } from './import-typescript.ts';
import { describeImportFailure } from './import-failure.ts';
import { resolveOwnPackage } from './own-package.ts';

/**
 * Imports the module at an absolute path and takes its default export. TypeScript goes through Node's own type stripping, or through tsx where Node has none.
 * A file that was loaded before in this process is read anew; modules that it imports are not.
 * Rejects with ServingError handler_failed in one line: file, line and reason.
 */
export async function loadHandler(path: string): Promise<DefinedHandler> {
  await requireFile(path);
  resolveOwnPackage();
  const module = await importModule(path);
  return takeDefaultExport(path, module);
}

const EXTENSIONS: readonly string[] = ['.ts', '.mts', '.js', '.mjs'];

async function requireFile(path: string): Promise<void> {
  if (!EXTENSIONS.some((extension) => path.endsWith(extension))) throw cannotLoad(path, `expected a file that ends in ${EXTENSIONS.join(', ')}`);
  try {
    await access(path);
  } catch (thrown) {
    throw cannotLoad(path, (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : describeThrown(thrown), thrown);
  }
}

/** How often a file has been loaded; modules are cached by URL. */
const LOADS = new Map<string, number>();

async function importModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(path);
  const loads = LOADS.get(path) ?? 0;
  LOADS.set(path, loads + 1);
  if (loads > 0) url.searchParams.set('load', String(loads));
  try {
    return path.endsWith('ts') ? await importTypeScript(path, url.href) : ((await import(url.href)) as Readonly<Record<string, unknown>>);
  } catch (thrown) {
    const { line, reason } = await describeImportFailure(path, thrown);
    throw cannotLoad(line === undefined ? path : `${path}:${line}`, reason, thrown);
  }
}

function takeDefaultExport(path: string, module: Readonly<Record<string, unknown>>): DefinedHandler {
  const names = Object.keys(module).filter((name) => name !== 'default' && name !== 'module.exports');
  let exported = module['default'];
  // What a CommonJS module (transpiled, or a .js file without "type": "module") calls its default export.
  if (isRecord(exported) && !isDefinedHandler(exported) && isDefinedHandler(exported['default'])) exported = exported['default'];
  if (isDefinedHandler(exported)) return exported;
  if (exported !== undefined) {
    throw cannotLoad(path, `its default export is ${describeValue(exported)}, expected \`export default defineHandler({ … })\``);
  }
  const got = names.length === 0 ? 'exports nothing' : `exports only ${names.slice(0, 8).join(', ')}`;
  throw cannotLoad(path, `it ${got}, expected \`export default defineHandler({ … })\``);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function cannotLoad(where: string, reason: string, cause?: unknown): ServingError {
  return handlerFailed(`Cannot load handler ${where}: ${reason}`, cause);
}
