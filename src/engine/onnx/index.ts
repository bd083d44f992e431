import type { Logger } from '../../core/context.ts';
import type { Engine, EngineOptions, EngineSession, ModelSource } from '../engine.ts';
import { ServingError } from '../../core/errors.ts';
import { checkModelFile, chooseModelFile } from './model-file.ts';
import { readModelHeader, type ModelHeader } from './model-header.ts';
import { loadError, messageOf, shortenReason } from './ort-failure.ts';

/** ONNX models (`.onnx`, `.ort`) on ONNX Runtime, through its C API or through the npm package's own binding. */
export const onnxEngine: Engine = {
  name: 'onnx',

  async recognizes(source: ModelSource): Promise<boolean> {
    return (await chooseModelFile(source.path)) !== undefined;
  },

  async load(source: ModelSource, options: EngineOptions, log: Logger): Promise<EngineSession> {
    const file = await chooseModelFile(source.path);
    if (file === undefined) throw new ServingError('model_failed', `Cannot load model ${source.path}: found no *.onnx or *.ort file`);
    await checkModelFile(file);
    const header = file.endsWith('.onnx') ? await readHeader(file) : undefined;
    const load = await chooseBinding(options.onnxBinding, log);
    return load(file, header, options, log);
  },
};

/** Opens the library, so that the first load need not. What is wrong with it that load tells. */
export async function prepareOnnx(): Promise<void> {
  silenceTelemetry();
  await probe();
}

async function readHeader(file: string): Promise<ModelHeader> {
  try {
    return await readModelHeader(file);
  } catch (thrown) {
    throw loadError(file, new Error(`it is no ONNX model or damaged: ${messageOf(thrown)}`, { cause: thrown }));
  }
}

type Load = (file: string, header: ModelHeader | undefined, options: EngineOptions, log: Logger) => Promise<EngineSession>;

/** Libraries are imported here and not before. */
async function chooseBinding(binding: EngineOptions['onnxBinding'], log: Logger): Promise<Load> {
  silenceTelemetry();
  if (binding === 'node') return (await import('./node-session.ts')).loadNode;
  const reason = await probe();
  if (reason === undefined) return (await import('./native-load.ts')).loadNative;
  if (binding === 'native') throw new ServingError('model_failed', `Cannot load ONNX models with binding native: ${reason}`);
  warnOnce(reason, log);
  return (await import('./node-session.ts')).loadNode;
}

/**
 * Before the library loads, because it looks once: without this ONNX Runtime for Linux writes a device id and a database below HOME, and sends events
 * about sessions and models to its maker. Its API can turn that off only when it has begun. An operator who sets the variable decides.
 */
function silenceTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
}

/** Why the native binding cannot be used in this process; undefined when it can. */
async function probe(): Promise<string | undefined> {
  try {
    await (await import('./native-load.ts')).probeNative();
    return undefined;
  } catch (thrown) {
    return shortenReason(messageOf(thrown));
  }
}

let isWarned = false;

function warnOnce(reason: string, log: Logger): void {
  if (isWarned) return;
  isWarned = true;
  log.warn(
    { binding: 'node', reason },
    'Running ONNX models with binding node, which blocks the event loop and cannot stop a run: binding native cannot be used',
  );
}
