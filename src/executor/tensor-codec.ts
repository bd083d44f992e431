import { elementBytes, isDatatype } from '../core/datatype.ts';
import { ServingError } from '../core/errors.ts';
import { createParameters, elementCount, viewData, type BytesData, type Parameters, type ParameterValue, type Tensor } from '../core/tensor.ts';
import { tensorToBytes } from '../core/tensor-bytes.ts';
import { COPY_LIMIT, pad8, type Frame } from './frame.ts';

/** Pairs, because keys may be `__proto__` and values may be what JSON has no number for: `{"n": "-0"}`, `{"n": "NaN"}`, `{"i": "9007199254740993"}`. */
export type WireParameters = readonly (readonly [key: string, value: WireParameterValue])[];
type WireParameterValue = string | number | boolean | { readonly n: string } | { readonly i: string };

/** A tensor without its bytes; `bytes` is there for BYTES alone, other sizes follow from datatype and shape. */
export interface WireTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes?: number;
  readonly parameters?: WireParameters;
}

/** Describes `tensor` and adds its raw bytes, as they lie, to `chunks`. */
export function encodeTensor(tensor: Tensor, chunks: Uint8Array[]): WireTensor {
  const { name, datatype, shape, data } = tensor;
  const bytes = tensorToBytes(data);
  chunks.push(bytes);
  return {
    name,
    datatype,
    shape,
    ...(datatype === 'BYTES' ? { bytes: bytes.byteLength } : undefined),
    ...(tensor.parameters === undefined ? undefined : { parameters: encodeParameters(tensor.parameters) }),
  };
}

/** Walks a frame's tensors in the order they were encoded. Views, no copies: small ones share the frame's body, large ones have a buffer each. */
export class TensorReader {
  readonly #body: ArrayBuffer;
  readonly #large: readonly ArrayBuffer[];
  #at: number;
  #nextLarge = 0;

  constructor(frame: Frame) {
    this.#body = frame.body;
    this.#large = frame.large;
    this.#at = frame.tensorsAt;
  }

  /** Throws ServingError internal when description and bytes do not agree. */
  read(description: unknown): Tensor {
    const { name, datatype, shape, bytes, parameters } = asRecord(description, 'tensor');
    if (typeof name !== 'string' || typeof datatype !== 'string' || !isDatatype(datatype) || !isShape(shape)) throw malformed('tensor');
    const count = elementCount(shape, 'tensor');
    const { buffer, byteOffset, byteLength } = this.#take(datatype === 'BYTES' ? bytes : count * elementBytes(datatype), `bytes of tensor "${name}"`);
    const data =
      datatype === 'BYTES' ? indexElements(new Uint8Array(buffer, byteOffset, byteLength), count) : viewData(datatype, buffer, byteOffset, count);
    return parameters === undefined ? { name, datatype, shape, data } : { name, datatype, shape, data, parameters: decodeParameters(parameters) };
  }

  /** The next `byteLength` bytes that belong to no tensor. Throws ServingError internal when there are not as many. */
  readBytes(byteLength: number): Uint8Array {
    return this.#take(byteLength, 'bytes of a body');
  }

  /** Throws ServingError internal when bytes are left over. */
  end(): void {
    if (this.#at !== this.#body.byteLength) throw malformed(`frame: ${this.#body.byteLength - this.#at} bytes are left over`);
    if (this.#nextLarge !== this.#large.length) throw malformed(`frame: ${this.#large.length - this.#nextLarge} large tensors are left over`);
  }

  #take(byteLength: unknown, what: string): Uint8Array<ArrayBuffer> {
    if (typeof byteLength !== 'number' || !Number.isSafeInteger(byteLength) || byteLength < 0) throw malformed(what);
    if (byteLength > COPY_LIMIT) {
      const large = this.#large[this.#nextLarge++];
      if (large?.byteLength !== byteLength) throw malformed(what);
      return new Uint8Array(large);
    }
    if (this.#at + byteLength > this.#body.byteLength) throw malformed(what);
    const bytes = new Uint8Array(this.#body, this.#at, byteLength);
    this.#at += pad8(byteLength);
    return bytes;
  }
}

/** Finds the elements by their length prefixes; they must fill `bytes` exactly. */
function indexElements(bytes: Uint8Array, count: number): BytesData {
  if (count * 4 > bytes.byteLength) throw malformed('BYTES tensor');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = new Uint32Array(count + 1);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.byteLength) throw malformed('BYTES tensor');
    at += 4 + view.getUint32(at, true);
    offsets[i + 1] = at;
  }
  if (at !== bytes.byteLength) throw malformed('BYTES tensor');
  return { bytes, offsets };
}

export function encodeParameters(parameters: Parameters): WireParameters {
  return Object.entries(parameters).map(([key, value]) => [key, encodeParameterValue(value)]);
}

function encodeParameterValue(value: ParameterValue): WireParameterValue {
  if (typeof value === 'bigint') return { i: String(value) };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return { n: Object.is(value, -0) ? '-0' : String(value) };
  return value;
}

/** Throws ServingError internal when they are not WireParameters. */
export function decodeParameters(wire: unknown): Parameters {
  const parameters = createParameters();
  for (const pair of asArray(wire, 'parameters')) {
    const [key, value] = asArray(pair, 'parameter');
    if (typeof key !== 'string') throw malformed('parameter');
    parameters[key] = decodeParameterValue(value);
  }
  return parameters;
}

const INTEGER = /^-?\d{1,40}$/;

function decodeParameterValue(value: unknown): ParameterValue {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  const { n, i } = asRecord(value, 'parameter');
  if (typeof n === 'string') return Number(n);
  if (typeof i === 'string' && INTEGER.test(i)) return BigInt(i);
  throw malformed('parameter');
}

function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((dimension) => typeof dimension === 'number');
}

export function asRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(what);
  return value as Record<string, unknown>;
}

export function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(what);
  return value;
}

/** The other side broke the rules of frames; whoever reads this ends it. */
export function malformed(what: string): ServingError {
  return new ServingError('internal', `Cannot read frame: malformed ${what}`);
}
