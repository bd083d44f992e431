import type { Datatype } from './datatype.ts';
import { invalidRequest } from './errors.ts';

/** Values a request, response or tensor parameter may hold (OIP "parameters"; bigint carries 64-bit integers beyond 2^53). */
export type ParameterValue = string | number | boolean | bigint;

/** A null-prototype record, so that `__proto__` and friends are ordinary keys. Make one with `createParameters`. */
export type Parameters = Readonly<Record<string, ParameterValue>>;

export function createParameters(entries: Iterable<readonly [string, ParameterValue]> = []): Record<string, ParameterValue> {
  const parameters = Object.create(null) as Record<string, ParameterValue>;
  for (const [key, value] of entries) parameters[key] = value;
  return parameters;
}

/**
 * Elements of a BYTES tensor in wire form, kept as received until someone reads them.
 *
 *     bytes    | len u32 LE | element 0 | len u32 LE | element 1 | …
 *     offsets  ^ [0]                    ^ [1]                    ^ [n]
 *
 * Element i is bytes[offsets[i] + 4 … offsets[i + 1]]; offsets has count + 1 entries and the last is the end of the data.
 */
export interface BytesData {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
}

/** BOOL: Uint8Array of 0 and 1. FP16 and BF16: Uint16Array of their bits. Row-major, machine order, which is little-endian on every supported platform. */
export type FixedSizeData =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array | BigInt64Array | BigUint64Array;

export type TensorData = FixedSizeData | BytesData;

/** Type of `data` by datatype. */
export interface DataOf {
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  FP16: Uint16Array;
  BF16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  BYTES: BytesData;
}

/** `data` holds exactly product(shape) elements; shape `[]` is a scalar of one element, a 0 in the shape means none. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
  readonly parameters?: Parameters;
}

const CONSTRUCTORS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/**
 * Zeroed storage for `count` elements in an ArrayBuffer of its own: aligned for any element size and never on V8's movable heap
 * (typed arrays of 64 bytes or less may be), so native code can use it in place.
 */
export function allocateData<D extends Exclude<Datatype, 'BYTES'>>(datatype: D, count: number): DataOf[D] {
  const Constructor = CONSTRUCTORS[datatype];
  return new Constructor(new ArrayBuffer(count * Constructor.BYTES_PER_ELEMENT)) as DataOf[D];
}

/** The typed array over bytes already in place; `byteOffset` must be a multiple of the element size. */
export function viewData<D extends Exclude<Datatype, 'BYTES'>>(datatype: D, buffer: ArrayBuffer, byteOffset: number, count: number): DataOf[D] {
  return new CONSTRUCTORS[datatype](buffer, byteOffset, count) as DataOf[D];
}

export function isBytesData(data: TensorData): data is BytesData {
  return 'offsets' in data;
}

/** Number of elements held by `data`. */
export function dataLength(data: TensorData): number {
  return isBytesData(data) ? data.offsets.length - 1 : data.length;
}

/** Most elements a tensor may have: what a typed array can hold. */
const MAX_ELEMENTS = 2 ** 32 - 1;

/**
 * Product of a shape, 1 for `[]`. Throws invalid_request when a dimension is negative, fractional or beyond 2^53, or the product overflows.
 * `what` names the tensor in the message, e.g. `input "x"`.
 */
export function elementCount(shape: readonly number[], what: string): number {
  let count = 1;
  let hasZero = false;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw invalidRequest(`Cannot read shape of ${what}: expected non-negative integers, got ${formatShape(shape)}`);
    }
    if (dimension === 0) hasZero = true;
    else count *= dimension;
    if (count > MAX_ELEMENTS)
      throw invalidRequest(`Cannot read shape of ${what}: ${formatShape(shape)} has more than ${String(MAX_ELEMENTS)} elements`);
  }
  return hasZero ? 0 : count;
}

export function formatShape(shape: readonly number[]): string {
  return shape.length > 16 ? `[${shape.slice(0, 16).join(',')},… ${String(shape.length)} dimensions]` : `[${shape.join(',')}]`;
}

/** Checks that data and shape agree; the message names the tensor, the action and both counts. */
export function checkTensor(tensor: Tensor, what: string): void {
  const expected = elementCount(tensor.shape, what);
  const got = dataLength(tensor.data);
  if (got !== expected) {
    throw invalidRequest(`Cannot read ${what}: shape ${formatShape(tensor.shape)} has ${String(expected)} elements, got ${String(got)}`);
  }
}

/** Bytes that the tensor's data takes in raw form. */
export function dataByteLength(data: TensorData): number {
  return isBytesData(data) ? (data.offsets[data.offsets.length - 1] ?? 0) - (data.offsets[0] ?? 0) : data.byteLength;
}

/** Bytes that the data of all tensors takes in raw form. */
export function totalByteLength(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of tensors) bytes += dataByteLength(data);
  return bytes;
}
