import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeInferRequest } from '../codec/index.ts';
import type { BatchMember } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import { runStepsYielding } from '../core/steps.ts';
import { bytesFromElements } from '../core/tensor-bytes.ts';
import { allocateData, elementCount, type Tensor } from '../core/tensor.ts';
import type { ColdModel } from '../executor/index.ts';
import { isFile } from './model-handler.ts';

export interface WarmUpOptions {
  /** `auto`: with the samples of the model directory, if there are any; `on`: with inputs made up where there are none; a number: the same, so many times. */
  readonly warmUp: 'auto' | 'on' | 'off' | number;
  /** Runs side by side. */
  readonly instances: number;
}

/** One request that a model is run with before it serves. */
interface Sample {
  /** Path of its file; undefined when it was made up. */
  readonly file?: string;
  readonly request: InferRequest;
}

/** Beside the model's files, or beside its versions: requests of the Open Inference Protocol in JSON, one a file. */
const DIRECTORY = 'warmup';

/** More, or larger ones, are no samples. */
const MAX_SAMPLES = 100;
const MAX_SAMPLE_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 32;

/**
 * Runs a loaded model that does not serve yet, on all its instances at once, so that no client waits for what only first runs do. `paths` are the model's own
 * directories or files, the version's before the model's. Rejects with ServingError model_failed that names the sample's file when the model refuses it, or
 * with the reason of `signal`. A model that does not take made-up inputs is left cold, with a warning.
 */
export async function warmUp(
  model: ColdModel,
  name: string,
  paths: readonly string[],
  options: WarmUpOptions,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  if (options.warmUp === 'off') return;
  const startedAt = performance.now();
  const samples = await readSamples(name, paths, signal);
  const rounds = typeof options.warmUp === 'number' ? options.warmUp : 1;
  const runs = Math.max(1, Math.min(options.instances, model.capacity));
  if (samples.length > 0) for (const sample of samples) await repeat(rounds, () => runSample(model, sample, runs, signal));
  else if (options.warmUp === 'auto' || !(await runMadeUp(model, name, runs, rounds, log, signal))) return;
  log.info(
    { samples: samples.length, runs: Math.max(1, samples.length) * rounds * runs, ms: Math.round(performance.now() - startedAt) },
    'Model warmed up',
  );
}

async function repeat(times: number, work: () => Promise<void>): Promise<void> {
  for (let i = 0; i < times; i++) await work();
}

/** Of the first path that has samples, in the order of their names. */
async function readSamples(modelName: string, paths: readonly string[], signal: AbortSignal): Promise<Sample[]> {
  for (const path of paths) {
    const directory = join((await isFile(path)) ? dirname(path) : path, DIRECTORY);
    const names = (await readNames(directory)).filter((name) => name.endsWith('.json') && !name.startsWith('.')).sort();
    if (names.length > MAX_SAMPLES) throw cannotWarmUp(directory, `expected at most ${MAX_SAMPLES} samples, got ${names.length}`);
    const samples: Sample[] = [];
    for (const file of names) samples.push(await readSample(join(directory, file), modelName, signal));
    if (samples.length > 0) return samples;
  }
  return [];
}

async function readNames(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw cannotWarmUp(directory, message, error);
  }
}

async function readSample(file: string, modelName: string, signal: AbortSignal): Promise<Sample> {
  try {
    const { size } = await stat(file);
    if (size > MAX_SAMPLE_BYTES) throw cannotWarmUp(file, `expected at most ${MAX_SAMPLE_BYTES} bytes, got ${size}`);
    const request = await runStepsYielding(decodeInferRequest(await readFile(file), { modelName, maxDepth: MAX_DEPTH }), signal);
    return { file, request };
  } catch (error) {
    signal.throwIfAborted();
    throw cannotWarmUp(file, error instanceof Error ? error.message : String(error), error);
  }
}

async function runSample(model: ColdModel, { file, request }: Sample, runs: number, signal: AbortSignal): Promise<void> {
  const ctx = { id: 'warmup', protocol: 'v2-rest', signal, deadline: Infinity, headers: {} } as const;
  const member: BatchMember = { verb: 'infer', request, ctx, signal };
  const results = await Promise.all(Array.from({ length: runs }, () => model.run({ members: [member] })));
  signal.throwIfAborted();
  for (const { responses } of results) {
    const [answer] = responses;
    if (answer?.ok === true) continue;
    const error = answer?.error ?? toServingError(undefined, 'internal', 'it gave no answer');
    throw file === undefined ? error : cannotWarmUp(file, error.message, error);
  }
}

/** False when the model cannot be run with inputs that nobody chose. */
async function runMadeUp(model: ColdModel, name: string, runs: number, rounds: number, log: Logger, signal: AbortSignal): Promise<boolean> {
  const { signature, capabilities } = model;
  if (signature.isOpen === true || (signature.inputs.length === 0 && capabilities.accepts.length > 0)) {
    log.info({}, `Model starts cold: it does not say what it takes; put requests into ${DIRECTORY}/*.json of its directory`);
    return false;
  }
  let failure: unknown;
  // Zeros are indices that every table has, and refused by models that divide; ones are neither.
  for (const value of [0, 1]) {
    const request = { modelName: name, inputs: signature.inputs.map((input) => madeUpTensor(input, value)) };
    try {
      await repeat(rounds, () => runSample(model, { request }, runs, signal));
      return true;
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
    }
  }
  const { message: reason } = toServingError(failure);
  log.warn({ reason }, `Model starts cold: it does not take made-up inputs; put requests into ${DIRECTORY}/*.json of its directory`);
  return false;
}

function madeUpTensor({ name, datatype, shape: declared }: TensorMetadata, value: number): Tensor {
  const shape = declared.map((size) => (size === -1 ? 1 : size));
  const count = elementCount(shape, `input "${name}"`);
  if (datatype === 'BYTES') {
    const element = new TextEncoder().encode(value === 0 ? '' : '1');
    return { name, datatype, shape, data: bytesFromElements(Array.from({ length: count }, () => element)) };
  }
  const data = allocateData(datatype, count);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(value));
  else data.fill(value === 0 ? 0 : (ONE[datatype] ?? value));
  return { name, datatype, shape, data };
}

/** Where 1 is not 1 in memory. */
const ONE: Readonly<Record<string, number>> = { FP16: 0x3c00, BF16: 0x3f80 };

function cannotWarmUp(path: string, reason: string, cause?: unknown): ServingError {
  return new ServingError('model_failed', `Cannot warm up with ${path}: ${reason}`, { cause });
}
