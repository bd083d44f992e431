import * as nodeModule from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * Makes `kserve-node` and its subpaths mean this very package in all modules that are imported from now on: a handler in a model directory or a ConfigMap has no
 * node_modules beside it, and a project's own copy of another version would bring a second set of classes. Without effect when called again.
 */
export function resolveOwnPackage(): void {
  if (isResolved) return;
  isResolved = true;
  const own = ownUrls();
  const { registerHooks } = nodeModule as { readonly registerHooks?: (hooks: Readonly<Record<string, unknown>>) => unknown };
  if (registerHooks === undefined) {
    // Node before 22.15: hooks live on a thread of their own and come as a module.
    nodeModule.register(`data:text/javascript,${encodeURIComponent(THREAD_HOOKS)}`, { data: own });
    resolveRequires(own);
    return;
  }
  registerHooks({
    resolve(specifier: string, context: unknown, next: (specifier: string, context: unknown) => unknown): unknown {
      const url = own[specifier];
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
    },
  });
}

interface CommonJsLoader {
  _resolveFilename(specifier: string, ...rest: readonly unknown[]): string;
}

/** Those hooks do not see `require`, which a .ts file becomes when no package.json near it says `"type": "module"`. */
function resolveRequires(own: Readonly<Record<string, string | undefined>>): void {
  const loader = nodeModule.Module as unknown as CommonJsLoader;
  const resolveFilename = loader._resolveFilename.bind(loader);
  loader._resolveFilename = (specifier, ...rest) => {
    const url = own[specifier];
    return url === undefined ? resolveFilename(specifier, ...rest) : fileURLToPath(url);
  };
}

let isResolved = false;

const THREAD_HOOKS = `
let own;
export function initialize(urls) { own = urls; }
export function resolve(specifier, context, next) {
  const url = own[specifier];
  return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
}
`;

/** As its own package.json exports them. */
function ownUrls(): Readonly<Record<string, string | undefined>> {
  const { resolve } = nodeModule.createRequire(import.meta.url);
  const urls = Object.create(null) as Record<string, string>;
  for (const specifier of ['kserve-node', 'kserve-node/client', 'kserve-node/testing']) urls[specifier] = pathToFileURL(resolve(specifier)).href;
  return urls;
}
