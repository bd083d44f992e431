import { prepareEngine } from './engine/index.ts';
import { startEarlyChild, type EarlyChild, type ProcessExecutorOptions } from './executor/index.ts';
import type { Settings } from './settings.ts';

/** What runs already when the server is imported. */
export interface HeadStart {
  /** The process of the first model. */
  readonly child?: EarlyChild;
}

/**
 * Begins what follows from the settings alone, while the modules of the server are imported: the process of the first model, or the engine's library in
 * this one. Where it is not sure what will run it begins nothing.
 */
export function takeHeadStart(settings: Settings, env: Environment): HeadStart {
  const { executor, handler, server } = settings;
  const hasHandler = handler.handler !== undefined;
  if (handler.enableModelHandlers && !hasHandler) return {};
  if (executor.isolation === 'process' || (executor.isolation === 'auto' && hasHandler)) {
    return { child: startEarlyChild(modelProcessOptions(settings, env, hasHandler)) };
  }
  // A name is of a single model; several run in processes of their own.
  const isInline = executor.isolation === 'inline' || server.modelName !== undefined;
  if (isInline && takesOnnx(settings)) void prepareEngine();
  return {};
}

type Environment = Readonly<Record<string, string | undefined>>;

/** How a process that runs a model starts. */
export function modelProcessOptions(settings: Settings, env: Environment, hasHandler: boolean): ProcessExecutorOptions {
  const { executor, handler } = settings;
  const options = {
    childEntry: new URL('./child.cjs', import.meta.url),
    stopTimeoutMs: executor.stopTimeoutMs,
    env,
    preparesEngine: !hasHandler && takesOnnx(settings),
  };
  return hasHandler ? { ...options, ...surroundingsOf(handler) } : options;
}

/** Where a predictor elsewhere or the other binding runs the model, nobody needs the library. */
function takesOnnx({ engine, predictor, server }: Settings): boolean {
  return server.modelDir !== undefined && predictor.host === undefined && engine.onnxBinding !== 'node';
}

/** What the process of a handler has that others do not. */
function surroundingsOf({ env, heapMb }: Settings['handler']): { readonly extraEnv: readonly string[]; readonly execArgv: readonly string[] } {
  const extraEnv = (env ?? '').split(',').map((name) => name.trim());
  return { extraEnv, execArgv: heapMb === 0 ? [] : [`--max-old-space-size=${heapMb}`] };
}
