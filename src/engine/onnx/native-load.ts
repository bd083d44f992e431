import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { Signature } from '../../core/metadata.ts';
import type { EngineOptions, EngineSession } from '../engine.ts';
import { callAsync, Handles, NativeWords, withHandles, type Pointer } from '../native/index.ts';
import type { KeptGraph } from './kept-graph.ts';
import type { ModelHeader } from './model-header.ts';
import { loadError, messageOf } from './ort-failure.ts';
import { ortRuntime, type OrtRuntime } from './ort-runtime.ts';
import { NativeSession } from './native-session.ts';
import { readSignature, type NativeSignature } from './native-signature.ts';
import { describeProperties } from './properties.ts';

type Provider = 'cpu' | 'cuda';

/** Rejects, with the reason, when the C API cannot be called here. */
export async function probeNative(): Promise<void> {
  await ortRuntime();
}

let isTold = false;

/** Once for a process: the same is true of every model, and each says its provider when it is loaded. */
function tellOnce(reason: string, log: Logger): void {
  if (isTold) return;
  isTold = true;
  log.info({ provider: 'cpu', reason }, 'Running on cpu: the cuda provider cannot be used');
}

/** Loads a model file. Throws model_failed with one line that names the file and the reason. */
export async function loadNative(file: string, header: ModelHeader | undefined, options: EngineOptions, log: Logger): Promise<EngineSession> {
  const runtime = await ortRuntime();
  if (options.provider === 'cpu') return loadOnCpu(runtime, file, header, options, log);
  try {
    return await loadWith(runtime, file, header, options, 'cuda');
  } catch (thrown) {
    if (options.provider === 'cuda') throw thrown;
    const session = await loadOnCpu(runtime, file, header, options, log);
    tellOnce(messageOf(thrown), log);
    return session;
  }
}

async function loadOnCpu(
  runtime: OrtRuntime,
  file: string,
  header: ModelHeader | undefined,
  options: EngineOptions,
  log: Logger,
): Promise<EngineSession> {
  const session = await loadFromCache(runtime, file, header, options, log);
  const { besideThreads = options.intraOpThreads } = options;
  if (besideThreads === options.intraOpThreads) return session;
  const { fitsTwice, SideBySideSession } = await import('./side-by-side-session.ts');
  if (!(await fitsTwice(file))) return session;
  return new SideBySideSession(session, () => loadFromCache(runtime, file, header, { ...options, intraOpThreads: besideThreads }, log), log);
}

/** From the optimised graph where one is kept, else from the file itself, whose graph is kept then when that pays. `.ort` files are optimised already. */
async function loadFromCache(
  runtime: OrtRuntime,
  file: string,
  header: ModelHeader | undefined,
  options: EngineOptions,
  log: Logger,
): Promise<EngineSession> {
  const { graphCache } = options;
  if (graphCache === undefined || header === undefined) return await loadWith(runtime, file, header, options, 'cpu');
  const { openKeptGraphs, WEIGHTS } = await import('./kept-graph.ts');
  const graphs = await openKeptGraphs(file, { version: runtime.version, provider: 'cpu' }, graphCache, log);
  const kept = await graphs?.find();
  if (kept !== undefined) {
    try {
      return await loadWith(runtime, file, header, options, 'cpu', { kept });
    } catch (thrown) {
      await kept.discard(messageOf(thrown));
    }
  }
  const onDisposed = (): void => {
    keeping?.stop();
  };
  const startedAt = performance.now();
  const session = await loadWith(runtime, file, header, options, 'cpu', { onDisposed });
  const keeping = graphs?.keepLater(performance.now() - startedAt, JSON.stringify(session.signature), {
    save: (to) => saveGraph(runtime, file, options, { kind: 'save', to, weights: WEIGHTS }),
    tryOut: async (from, signature) => {
      const triedAt = performance.now();
      const tried = await loadWith(runtime, file, header, options, 'cpu', { kept: { file: from, signature } });
      const ms = performance.now() - triedAt;
      await tried.dispose();
      return ms;
    },
  });
  return session;
}

interface LoadSource {
  /** Loaded in place of the file. The session takes it over. */
  readonly kept?: Pick<KeptGraph, 'file' | 'signature'> & Partial<Pick<KeptGraph, 'release'>>;
  readonly onDisposed?: () => unknown;
}

async function loadWith(
  runtime: OrtRuntime,
  file: string,
  header: ModelHeader | undefined,
  options: EngineOptions,
  provider: Provider,
  { kept, onDisposed = kept?.release }: LoadSource = {},
): Promise<EngineSession> {
  const handles = new Handles();
  try {
    const session = await createSession(
      runtime,
      handles,
      kept?.file ?? file,
      options,
      provider,
      kept === undefined ? undefined : { kind: 'optimised' },
    );
    const signature = readSignature(runtime, session, header?.mapKeys ?? new Map<string, never>());
    if (kept !== undefined && textOf(signature) !== kept.signature) throw new Error('inputs or outputs of the kept graph are not those of the model');
    const properties = describeProperties(file, header, 'native', provider);
    return new NativeSession(runtime, session, handles, signature, {
      properties: kept === undefined ? properties : { ...properties, graph: 'kept' },
      hasFixedCost: provider === 'cpu' && header?.hasFixedCost === true,
      ...(onDisposed === undefined ? {} : { onDisposed }),
    });
  } catch (thrown) {
    handles.releaseAll();
    throw loadError(file, thrown);
  }
}

/** As a session publishes it. */
function textOf({ inputs, outputs }: NativeSignature): string {
  const signature: Signature = { inputs, outputs: outputs.map(({ metadata }) => metadata) };
  return JSON.stringify(signature);
}

/** What is done with a graph besides loading it. */
type GraphUse =
  /** It is optimised already. */
  | { readonly kind: 'optimised' }
  /** It is written as it is when optimised, `weights` beside it. */
  | { readonly kind: 'save'; readonly to: string; readonly weights: string };

async function saveGraph(runtime: OrtRuntime, file: string, options: EngineOptions, use: GraphUse): Promise<void> {
  const handles = new Handles();
  try {
    await createSession(runtime, handles, file, options, 'cpu', use);
  } finally {
    handles.releaseAll();
  }
}

/** The session, which `handles` owns. Reading and optimising the graph happens on a pool thread. */
async function createSession(
  runtime: OrtRuntime,
  handles: Handles,
  file: string,
  options: EngineOptions,
  provider: Provider,
  use?: GraphUse,
): Promise<Pointer> {
  const { api } = runtime;
  const temporary = new Handles();
  try {
    const sessionOptions = runtime.create(temporary, api.ReleaseSessionOptions, (out) => api.CreateSessionOptions(out));
    configure(runtime, sessionOptions, options);
    if (use !== undefined) configureUse(runtime, sessionOptions, use);
    if (provider === 'cuda') appendCuda(runtime, sessionOptions);
    const out = new NativeWords(1);
    runtime.check(
      await callAsync((done) => {
        api.CreateSession.async(runtime.env, file, sessionOptions, out.addressAt(0), done);
      }),
    );
    return handles.own(out.pointerAt(0), api.ReleaseSession);
  } finally {
    temporary.releaseAll();
  }
}

const PARALLEL = 1;
/** Fatal only; see the environment's. */
const LOG_SEVERITY = 4;

function configure(runtime: OrtRuntime, target: Pointer, options: EngineOptions): void {
  const { api } = runtime;
  runtime.check(api.SetSessionLogSeverityLevel(target, LOG_SEVERITY));
  runtime.check(api.SetIntraOpNumThreads(target, options.intraOpThreads));
  runtime.check(api.SetInterOpNumThreads(target, options.interOpThreads));
  if (options.interOpThreads > 1) runtime.check(api.SetSessionExecutionMode(target, PARALLEL));
  // Threads that spin while they wait steal the processor from the event loop and from other models.
  runtime.check(api.AddSessionConfigEntry(target, 'session.intra_op.allow_spinning', '0'));
  runtime.check(api.AddSessionConfigEntry(target, 'session.inter_op.allow_spinning', '0'));
}

const NO_OPTIMIZATION = 0;

/** Larger weights lie outside the graph: they are mapped then, and a graph of more than 2 GiB could not be written at all. Shapes must stay within. */
const MIN_OUTSIDE_BYTES = 1024;

function configureUse(runtime: OrtRuntime, target: Pointer, use: GraphUse): void {
  const { api } = runtime;
  if (use.kind === 'optimised') {
    runtime.check(api.SetSessionGraphOptimizationLevel(target, NO_OPTIMIZATION));
    return;
  }
  const configEntries = {
    'session.optimized_model_external_initializers_file_name': use.weights,
    'session.optimized_model_external_initializers_min_size_in_bytes': String(MIN_OUTSIDE_BYTES),
    // Weights as kernels want them in memory are none of the graph's: they would be made for nothing.
    'session.disable_prepacking': '1',
  };
  runtime.check(api.SetOptimizedModelFilePath(target, use.to));
  runtime.check(api.SetIntraOpNumThreads(target, 1));
  for (const [name, value] of Object.entries(configEntries)) runtime.check(api.AddSessionConfigEntry(target, name, value));
}

const CUDA_LIBRARY = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';

function appendCuda(runtime: OrtRuntime, target: Pointer): void {
  const { api, directory } = runtime;
  if (!existsSync(join(directory, CUDA_LIBRARY))) {
    throw new ServingError(
      'model_failed',
      `provider cuda needs ${CUDA_LIBRARY} of ONNX Runtime ${runtime.version} in ${directory}, which is not there`,
    );
  }
  withHandles((handles) => {
    const cuda = runtime.create(handles, api.ReleaseCUDAProviderOptions, (out) => api.CreateCUDAProviderOptions(out));
    runtime.check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(target, cuda));
  });
}
