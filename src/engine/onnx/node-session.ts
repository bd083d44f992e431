import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { Logger } from '../../core/context.ts';
import { elementBytes, type Datatype } from '../../core/datatype.ts';
import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { Signature, TensorMetadata } from '../../core/metadata.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import { checkTensor, isBytesData, viewData, type BytesData, type FixedSizeData, type Tensor } from '../../core/tensor.ts';
import type { EngineOptions, EngineSession } from '../engine.ts';
import { datatypeOfElement } from './element-types.ts';
import type { ModelHeader } from './model-header.ts';
import { loadError, messageOf, runError } from './ort-failure.ts';
import { PLATFORM } from './platform.ts';
import { describeProperties } from './properties.ts';
import { cancelled, checkInputs, disposed, isAborted, selectOutputs } from './run-checks.ts';
import { rankedMetadata } from './tensor-shape.ts';

const DATATYPES: Readonly<Record<string, Datatype>> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
};
const TYPES = Object.fromEntries(Object.entries(DATATYPES).map(([type, datatype]) => [datatype, type]));

/** Fatal only: failures come back as errors. */
const LOG_SEVERITY = 4;

/** Loads a model file with the binding of the npm package. Throws model_failed with one line that names the file and the reason. */
export async function loadNode(file: string, header: ModelHeader | undefined, options: EngineOptions, log: Logger): Promise<EngineSession> {
  let session: InferenceSession | undefined;
  try {
    const created = await createSession(file, options, log);
    session = created.session;
    return new NodeSession(session, describeProperties(file, header, 'node', created.provider), log);
  } catch (thrown) {
    await session?.release();
    const element = /^Unsupported data type: (\d+)/.exec(messageOf(thrown))?.[1];
    if (element === undefined) throw loadError(file, thrown);
    const datatype = datatypeOfElement(Number(element)) ?? `ONNX element type ${element}`;
    throw loadError(file, new Error(`binding node cannot take inputs or give outputs of ${datatype}`, { cause: thrown }));
  }
}

async function createSession(file: string, options: EngineOptions, log: Logger): Promise<{ session: InferenceSession; provider: 'cpu' | 'cuda' }> {
  const { InferenceSession } = await import('onnxruntime-node');
  const create = (provider: 'cpu' | 'cuda'): Promise<InferenceSession> =>
    InferenceSession.create(file, {
      executionProviders: [provider],
      intraOpNumThreads: options.intraOpThreads,
      interOpNumThreads: options.interOpThreads,
      executionMode: options.interOpThreads > 1 ? 'parallel' : 'sequential',
      logSeverityLevel: LOG_SEVERITY,
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    });
  if (options.provider === 'cpu') return { session: await create('cpu'), provider: 'cpu' };
  try {
    return { session: await create('cuda'), provider: 'cuda' };
  } catch (thrown) {
    if (options.provider === 'cuda') throw thrown;
    const session = await create('cpu');
    log.info({ provider: 'cpu', reason: messageOf(thrown) }, 'Running on cpu: the cuda provider cannot be used');
    return { session, provider: 'cpu' };
  }
}

/**
 * A model on the binding of the npm package: every run blocks the event loop and cannot be stopped. BF16 models do not load, strings with NULs or bytes
 * that are no UTF-8 are refused, outputs that are no tensors are left out of the signature.
 */
class NodeSession implements EngineSession {
  readonly signature: Signature;
  readonly platform = PLATFORM;
  readonly properties: Readonly<Record<string, string>>;
  readonly isConcurrent = false;
  readonly isCancellable = false;

  readonly #session: InferenceSession;
  readonly #inputs: ReadonlyMap<string, TensorMetadata>;
  readonly #outputs: ReadonlyMap<string, TensorMetadata>;
  readonly #unreadable: ReadonlySet<string>;
  readonly #running = new Set<Promise<unknown>>();
  #disposal: Promise<void> | undefined;

  constructor(session: InferenceSession, properties: Readonly<Record<string, string>>, log: Logger) {
    this.#session = session;
    this.#inputs = describe(session.inputMetadata);
    this.#outputs = describe(session.outputMetadata);
    this.#unreadable = new Set(session.outputMetadata.filter((output) => !output.isTensor).map((output) => output.name));
    if (this.#inputs.size < session.inputMetadata.length) throw new Error('it has an input that is no tensor');
    if (this.#outputs.size === 0) throw new Error('binding node can read none of its outputs: none is a tensor');
    this.signature = { inputs: [...this.#inputs.values()], outputs: [...this.#outputs.values()] };
    this.properties = properties;
    if (this.#unreadable.size > 0)
      log.warn({ outputs: [...this.#unreadable] }, 'Left out outputs that are no tensors: binding node cannot read them');
  }

  async run(inputs: readonly Tensor[], wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]> {
    if (this.#disposal !== undefined) throw disposed();
    if (isAborted(signal)) throw cancelled();
    for (const name of wanted) {
      if (this.#unreadable.has(name)) throw invalidRequest(`Cannot return output "${name}": it is no tensor, which binding node cannot read`);
    }
    checkInputs(this.#inputs, inputs);
    const outputs = selectOutputs(this.#outputs, wanted);
    const feeds = Object.fromEntries(inputs.map((input) => [input.name, toOrtTensor(input)]));
    const run = this.#session
      .run(
        feeds,
        outputs.map(({ name }) => name),
      )
      .catch((thrown: unknown) => {
        throw runError(thrown);
      });
    this.#running.add(run);
    try {
      const results = await run;
      if (isAborted(signal)) throw cancelled();
      return outputs.map(({ name }) => fromOrtTensor(name, results[name]));
    } finally {
      this.#running.delete(run);
    }
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#waitAndFree();
    return this.#disposal;
  }

  async #waitAndFree(): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.#session.release();
  }
}

function describe(values: readonly InferenceSession.ValueMetadata[]): ReadonlyMap<string, TensorMetadata> {
  const described = new Map<string, TensorMetadata>();
  for (const value of values) {
    if (!value.isTensor) continue;
    const datatype = DATATYPES[value.type];
    if (datatype === undefined) throw new Error(`"${value.name}" has element type ${value.type}, which has no Open Inference Protocol datatype`);
    const shape = value.shape.map((dimension) => (typeof dimension === 'number' ? dimension : -1));
    const names = value.shape.map((dimension) => (typeof dimension === 'string' && dimension !== '' ? dimension : undefined));
    described.set(value.name, rankedMetadata(value.name, datatype, shape, names));
  }
  return described;
}

/** A plain object rather than the package's Tensor, whose constructor refuses FP16 bits where Node has a Float16Array. */
function toOrtTensor(tensor: Tensor): OrtTensor {
  checkTensor(tensor, `input "${tensor.name}"`);
  const { name, datatype, shape, data } = tensor;
  if (isBytesData(data)) return { type: 'string', dims: shape, location: 'cpu', data: toStrings(data, name) } as unknown as OrtTensor;
  if (datatype === 'BYTES' || data.BYTES_PER_ELEMENT !== elementBytes(datatype))
    throw invalidRequest(`Cannot run input "${name}": its data is not ${datatype}`);
  return { type: TYPES[datatype], dims: shape, location: 'cpu', data } as unknown as OrtTensor;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function toStrings(data: BytesData, name: string): string[] {
  const { bytes, offsets } = data;
  return Array.from({ length: offsets.length - 1 }, (_, i) => {
    const start = (offsets[i] ?? 0) + 4;
    const end = offsets[i + 1] ?? 0;
    if (start > end || end > bytes.length) throw invalidRequest(`Cannot run input "${name}": element ${i} lies outside its ${bytes.length} bytes`);
    const element = bytes.subarray(start, end);
    if (element.includes(0)) throw invalidRequest(`Cannot run input "${name}": element ${i} has a NUL byte, which binding node would cut it at`);
    try {
      return UTF8.decode(element);
    } catch {
      throw invalidRequest(`Cannot run input "${name}": element ${i} is not UTF-8, which is all that binding node can pass on`);
    }
  });
}

function fromOrtTensor(name: string, tensor: OrtTensor | undefined): Tensor {
  const datatype = tensor === undefined ? undefined : DATATYPES[tensor.type];
  if (tensor === undefined || datatype === undefined)
    throw new ServingError('model_failed', `Cannot return output "${name}": binding node gave no tensor`);
  const shape = [...tensor.dims];
  if (datatype === 'BYTES') return { name, datatype, shape, data: fromStrings(tensor.data as string[]) };
  const data = tensor.data as FixedSizeData;
  // FP16 may come as a Float16Array; here it is bits.
  return { name, datatype, shape, data: viewData(datatype, data.buffer as ArrayBuffer, data.byteOffset, data.length) };
}

function fromStrings(texts: readonly string[]): BytesData {
  const encoded = texts.map((text) => Buffer.from(text, 'utf8'));
  const bytes = new Uint8Array(new ArrayBuffer(encoded.reduce((total, element) => total + 4 + element.length, 0)));
  const view = new DataView(bytes.buffer);
  const offsets = new Uint32Array(encoded.length + 1);
  let at = 0;
  encoded.forEach((element, i) => {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
    offsets[i + 1] = at;
  });
  return { bytes, offsets };
}
