import type { Body, InferResponse } from '../core/infer.ts';
import { createParameters, type DataOf, type Parameters } from '../core/tensor.ts';
import { handlerFailed } from './handler-error.ts';
import type { ModelTypes, NameIn, TensorsOf } from './model-types.ts';
import { findTensor, readBytes, readData, readJson, readNumbers, readStrings, readText, type Readable } from './read-tensors.ts';

/** The response inside a HandlerResponse, which goes on without a copy; undefined for anything else. For the pipeline. */
let unwrapResponse: (value: unknown) => InferResponse | undefined;

/**
 * What the model, the predictor elsewhere or `predict` answered. Readers throw ServingError handler_failed (500) that names the output and what there is. Data is
 * not copied.
 */
export class HandlerResponse<M extends ModelTypes = ModelTypes> {
  readonly #response: InferResponse;

  static {
    unwrapResponse = (value: unknown): InferResponse | undefined =>
      typeof value === 'object' && value !== null && #response in value ? value.#response : undefined;
  }

  constructor(response: InferResponse) {
    this.#response = response;
  }

  get modelName(): string {
    return this.#response.modelName;
  }

  get parameters(): Parameters {
    return this.#response.parameters ?? NO_PARAMETERS;
  }

  /** Empty when there is a body. */
  get outputs(): readonly TensorsOf<M['outputs']>[] {
    return this.#response.outputs as readonly TensorsOf<M['outputs']>[];
  }

  /** What `predict` answered with `reply` instead of tensors. */
  get body(): Body | undefined {
    return this.#response.body;
  }

  /** Elements in row-major order: FP32 as Float32Array, INT64 as BigInt64Array, FP16 and BF16 as their bits, BOOL as bytes of 0 and 1. */
  output<N extends NameIn<M['outputs']>, D extends M['outputs'][N]['datatype']>(name: N, datatype?: D): DataOf[D] {
    return readData(readable(this.#response), name, datatype) as DataOf[D];
  }

  /** Elements of a numeric output other than INT64 and UINT64 as numbers, FP16 and BF16 converted. */
  numbers(name: NameIn<M['outputs']>): number[] {
    return readNumbers(readable(this.#response), name);
  }

  /** Elements of a BYTES output as text, which must be UTF-8. */
  strings(name: NameIn<M['outputs']>): string[] {
    return readStrings(readable(this.#response), name);
  }

  /** Elements of a BYTES output as they are. */
  bytes(name: NameIn<M['outputs']>): Uint8Array[] {
    return readBytes(readable(this.#response), name);
  }

  /** Name, datatype, shape and data. */
  tensor<N extends NameIn<M['outputs']>>(name: N): TensorsOf<Pick<M['outputs'], N>> {
    return findTensor(readable(this.#response), name) as TensorsOf<Pick<M['outputs'], N>>;
  }

  /** The body as JSON. */
  json(): unknown {
    return readJson(readable(this.#response));
  }

  /** The body as text, in the charset that its media type names, else UTF-8. */
  text(): string {
    return readText(readable(this.#response));
  }
}

const NO_PARAMETERS: Parameters = Object.freeze(createParameters());

function readable({ modelName, outputs, body }: InferResponse): Readable {
  return { noun: 'output', whole: `the response of model "${modelName}"`, tensors: outputs, body, fail: handlerFailed };
}

export { unwrapResponse };
