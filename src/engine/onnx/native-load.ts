import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { EngineOptions, EngineSession } from '../engine.ts';
import { callAsync, Handles, NativeWords, withHandles, type Pointer } from '../native/index.ts';
import type { ModelHeader } from './model-header.ts';
import { loadError, messageOf } from './ort-failure.ts';
import { ortRuntime, type OrtRuntime } from './ort-runtime.ts';
import { NativeSession } from './native-session.ts';
import { readSignature } from './native-signature.ts';
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
  const session = await loadWith(runtime, file, header, options, 'cpu');
  const { besideThreads = options.intraOpThreads } = options;
  if (besideThreads === options.intraOpThreads) return session;
  const { fitsTwice, SideBySideSession } = await import('./side-by-side-session.ts');
  if (!(await fitsTwice(file))) return session;
  return new SideBySideSession(session, () => loadWith(runtime, file, header, { ...options, intraOpThreads: besideThreads }, 'cpu'), log);
}

async function loadWith(
  runtime: OrtRuntime,
  file: string,
  header: ModelHeader | undefined,
  options: EngineOptions,
  provider: Provider,
): Promise<EngineSession> {
  const handles = new Handles();
  try {
    const session = await createSession(runtime, handles, file, options, provider);
    const signature = readSignature(runtime, session, header?.mapKeys ?? new Map<string, never>());
    return new NativeSession(runtime, session, handles, signature, {
      properties: describeProperties(file, header, 'native', provider),
      hasFixedCost: provider === 'cpu' && header?.hasFixedCost === true,
    });
  } catch (thrown) {
    handles.releaseAll();
    throw loadError(file, thrown);
  }
}

/** The session, which `handles` owns. Reading and optimising the graph happens on a pool thread. */
async function createSession(runtime: OrtRuntime, handles: Handles, file: string, options: EngineOptions, provider: Provider): Promise<Pointer> {
  const { api } = runtime;
  const temporary = new Handles();
  try {
    const sessionOptions = runtime.create(temporary, api.ReleaseSessionOptions, (out) => api.CreateSessionOptions(out));
    configure(runtime, sessionOptions, options);
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
