import { ServingError } from '../core/errors.ts';
import type { Body, InferRequest } from '../core/infer.ts';
import { createParameters, type DataOf, type Parameters } from '../core/tensor.ts';
import type { ModelTypes, NameIn, TensorsOf } from './model-types.ts';
import { findTensor, readBytes, readData, readJson, readNumbers, readStrings, readText, type Readable } from './read-tensors.ts';

/** The request inside a HandlerRequest, which goes on without a copy; undefined for anything else. For the pipeline. */
let unwrapRequest: (value: unknown) => InferRequest | undefined;

/**
 * What a client asks, or what `preprocess` made of it. Readers throw ServingError invalid_request (400) that names the input and what there is. Data is not
 * copied: typed arrays are the request's own memory.
 */
export class HandlerRequest<M extends ModelTypes = ModelTypes> {
  readonly #request: InferRequest;

  static {
    unwrapRequest = (value: unknown): InferRequest | undefined =>
      typeof value === 'object' && value !== null && #request in value ? value.#request : undefined;
  }

  constructor(request: InferRequest) {
    this.#request = request;
  }

  get modelName(): string {
    return this.#request.modelName;
  }

  /** The client's own id; undefined when it gave none. */
  get id(): string | undefined {
    return this.#request.id;
  }

  get parameters(): Parameters {
    return this.#request.parameters ?? NO_PARAMETERS;
  }

  /** Empty when there is a body. */
  get inputs(): readonly TensorsOf<M['inputs']>[] {
    return this.#request.inputs as readonly TensorsOf<M['inputs']>[];
  }

  /** Names of the outputs asked for; empty: all. */
  get outputs(): readonly string[] {
    return this.#request.outputs?.map(({ name }) => name) ?? [];
  }

  /** What the client sent instead of tensors, when the handler `accepts` its media type. */
  get body(): Body | undefined {
    return this.#request.body;
  }

  /** Elements in row-major order: FP32 as Float32Array, INT64 as BigInt64Array, FP16 and BF16 as their bits, BOOL as bytes of 0 and 1. */
  input<N extends NameIn<M['inputs']>, D extends M['inputs'][N]['datatype']>(name: N, datatype?: D): DataOf[D] {
    return readData(readable(this.#request), name, datatype) as DataOf[D];
  }

  /** Elements of a numeric input other than INT64 and UINT64 as numbers, FP16 and BF16 converted. */
  numbers(name: NameIn<M['inputs']>): number[] {
    return readNumbers(readable(this.#request), name);
  }

  /** Elements of a BYTES input as text, which must be UTF-8. */
  strings(name: NameIn<M['inputs']>): string[] {
    return readStrings(readable(this.#request), name);
  }

  /** Elements of a BYTES input as they are. */
  bytes(name: NameIn<M['inputs']>): Uint8Array[] {
    return readBytes(readable(this.#request), name);
  }

  /** Name, datatype, shape and data. */
  tensor<N extends NameIn<M['inputs']>>(name: N): TensorsOf<Pick<M['inputs'], N>> {
    return findTensor(readable(this.#request), name) as TensorsOf<Pick<M['inputs'], N>>;
  }

  /** The body as JSON. */
  json(): unknown {
    return readJson(readable(this.#request));
  }

  /** The body as text, in the charset that its media type names, else UTF-8. */
  text(): string {
    return readText(readable(this.#request));
  }
}

const NO_PARAMETERS: Parameters = Object.freeze(createParameters());

function readable({ inputs, body }: InferRequest): Readable {
  return { noun: 'input', whole: 'the request', tensors: inputs, body, fail: refuse };
}

function refuse(message: string, cause?: unknown): ServingError {
  return new ServingError('invalid_request', message, cause === undefined ? {} : { cause });
}

export { unwrapRequest };
