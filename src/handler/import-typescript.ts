import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { handlerFailed } from './handler-error.ts';

type Module = Readonly<Record<string, unknown>>;

/** Of tsx's own interface, what is called here. */
interface TsxApi {
  tsImport(specifier: string, options: { readonly parentURL: string; readonly tsconfig: false }): Promise<Module>;
}

/**
 * Imports a TypeScript module: by Node itself where it strips types, else by tsx, which is an optional dependency and is loaded here only. tsx keeps each import
 * apart, so the module is always read anew. Rejects with ServingError handler_failed when there is no tsx, else with what the import rejects with.
 */
export async function importTypeScript(path: string, url: string): Promise<Module> {
  if (stripsTypes()) return (await import(url)) as Module;
  const tsx = await importTsx(path);
  return tsx.tsImport(path, { parentURL: pathToFileURL(path).href, tsconfig: false });
}

function stripsTypes(): boolean {
  const { typescript } = process.features as { readonly typescript?: unknown };
  return Boolean(typescript);
}

/** From this package's own dependencies, else from the handler's project. */
async function importTsx(path: string): Promise<TsxApi> {
  try {
    return await import('tsx/esm/api');
  } catch (thrown) {
    const found = isMissing(thrown) ? resolveFrom(path) : undefined;
    if (found !== undefined) return (await import(pathToFileURL(found).href)) as TsxApi;
    throw handlerFailed(
      `Node ${process.versions.node} does not read TypeScript by itself: npm install tsx, use Node 22.18 or later, or bundle the handler with kserve-node pack`,
      thrown,
    );
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
}

function resolveFrom(path: string): string | undefined {
  try {
    return createRequire(path).resolve('tsx/esm/api');
  } catch {
    return undefined;
  }
}
