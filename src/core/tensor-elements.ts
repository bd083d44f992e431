import { BIGINT_RANGE, INTEGER_RANGE, type Datatype, type FixedSizeDatatype } from './datatype.ts';
import { invalidRequest, type ServingError } from './errors.ts';
import { numberToBfloat16, numberToFloat16 } from './float16.ts';
import { bytesFromElements, bytesFromStrings } from './tensor-bytes.ts';
import {
  allocateData,
  checkTensor,
  createParameters,
  isBytesData,
  type BytesData,
  type DataOf,
  type ParameterValue,
  type Tensor,
  type TensorData,
} from './tensor.ts';

/** Elements of a tensor as people write them, by datatype: plain values, or the typed array itself, which is then used in place. */
export interface ElementsOf {
  BOOL: readonly boolean[] | Uint8Array;
  UINT8: readonly number[] | Uint8Array;
  UINT16: readonly number[] | Uint16Array;
  UINT32: readonly number[] | Uint32Array;
  UINT64: readonly bigint[] | BigUint64Array;
  INT8: readonly number[] | Int8Array;
  INT16: readonly number[] | Int16Array;
  INT32: readonly number[] | Int32Array;
  INT64: readonly bigint[] | BigInt64Array;
  /** Numbers are rounded to the nearest value; a Uint16Array holds the bits. */
  FP16: readonly number[] | Uint16Array;
  BF16: readonly number[] | Uint16Array;
  FP32: readonly number[] | Float32Array;
  FP64: readonly number[] | Float64Array;
  /** Text is sent as UTF-8. */
  BYTES: readonly string[] | readonly Uint8Array[] | BytesData;
}

export interface TensorOf<D extends Datatype> extends Tensor {
  readonly datatype: D;
  readonly data: DataOf[D];
}

type Elements = ElementsOf[Datatype];

/**
 * A tensor of `shape` (`[]` is a scalar) from its elements in row-major order. Throws ServingError invalid_request when the number of elements does not fit the
 * shape, or as `dataFromElements`. `what` names the tensor in messages.
 */
export function tensorFromElements<const N extends string, D extends Datatype>(
  what: string,
  name: N,
  datatype: D,
  shape: readonly number[],
  elements: ElementsOf[D],
  parameters?: Readonly<Record<string, ParameterValue>>,
): TensorOf<D> & { readonly name: N } {
  const made = {
    name,
    datatype,
    shape,
    data: dataFromElements(datatype, elements, what) as DataOf[D],
    ...(parameters === undefined ? {} : { parameters: createParameters(Object.entries(parameters)) }),
  };
  checkTensor(made, what);
  return made;
}

/**
 * Storage for elements in row-major order; a typed array of the datatype is used in place. Throws ServingError invalid_request for what is no value of the
 * datatype: nothing is wrapped or cut. `what` names the tensor in messages, e.g. `input "x"`.
 */
export function dataFromElements(datatype: Datatype, elements: Elements, what: string): TensorData {
  if (datatype === 'BYTES') return toBytesData(elements, what);
  const storage = allocateData(datatype, 0).constructor;
  if (ArrayBuffer.isView(elements)) {
    // Read through the prototype: a Buffer is a Uint8Array too.
    const TypedArray = storage as unknown as new () => TensorData;
    if (!(elements instanceof TypedArray)) throw wrongElements(datatype, `${storage.name} or an array`, elements.constructor.name, what);
    if (datatype === 'BOOL') checkBoolBytes(elements as Uint8Array, what);
    return elements;
  }
  if (!Array.isArray(elements)) throw wrongElements(datatype, `${storage.name} or an array`, typeof elements, what);
  return fillData(datatype, elements as readonly unknown[], what);
}

function toBytesData(elements: Elements, what: string): BytesData {
  if (!Array.isArray(elements)) {
    if (isBytesElements(elements)) return elements;
    throw wrongElements('BYTES', 'an array', typeof elements, what);
  }
  const values = elements as readonly unknown[];
  if (values.every((value) => typeof value === 'string')) return bytesFromStrings(values);
  if (values.every((value) => value instanceof Uint8Array)) return bytesFromElements(values);
  throw wrongElements('BYTES', 'only strings, or only Uint8Arrays', 'a mixture or other values', what);
}

/** Whatever people without a compiler gave. */
function isBytesElements(elements: unknown): elements is BytesData {
  return typeof elements === 'object' && elements !== null && !ArrayBuffer.isView(elements) && isBytesData(elements as TensorData);
}

/** Checks each value on its way into storage; messages name the element. */
function fillData(datatype: FixedSizeDatatype, values: readonly unknown[], what: string): TensorData {
  const data = allocateData(datatype, values.length) as Float64Array;
  const convert = CONVERT[datatype];
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    const converted = convert(value);
    if (converted === undefined) throw wrongElements(datatype, EXPECTED[datatype], describe(value), `element ${index} of ${what}`);
    data[index] = converted as number;
  }
  return data;
}

/** Undefined for what is no value of the datatype. */
type Convert = (value: unknown) => number | bigint | undefined;

const toNumber: Convert = (value) => (typeof value === 'number' ? value : undefined);

function integerWithin([min, max]: readonly [number, number]): Convert {
  return (value) => (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined);
}

function bigintWithin([min, max]: readonly [bigint, bigint]): Convert {
  return (value) => (typeof value === 'bigint' && value >= min && value <= max ? value : undefined);
}

const CONVERT: Readonly<Record<FixedSizeDatatype, Convert>> = {
  BOOL: (value) => (typeof value === 'boolean' ? Number(value) : undefined),
  UINT8: integerWithin(INTEGER_RANGE.UINT8),
  UINT16: integerWithin(INTEGER_RANGE.UINT16),
  UINT32: integerWithin(INTEGER_RANGE.UINT32),
  INT8: integerWithin(INTEGER_RANGE.INT8),
  INT16: integerWithin(INTEGER_RANGE.INT16),
  INT32: integerWithin(INTEGER_RANGE.INT32),
  UINT64: bigintWithin(BIGINT_RANGE.UINT64),
  INT64: bigintWithin(BIGINT_RANGE.INT64),
  FP16: (value) => (typeof value === 'number' ? numberToFloat16(value) : undefined),
  BF16: (value) => (typeof value === 'number' ? numberToBfloat16(value) : undefined),
  FP32: toNumber,
  FP64: toNumber,
};

const EXPECTED: Readonly<Record<FixedSizeDatatype, string>> = {
  BOOL: 'a boolean',
  UINT8: 'an integer from 0 to 255',
  UINT16: 'an integer from 0 to 65535',
  UINT32: 'an integer from 0 to 2^32 - 1',
  INT8: 'an integer from -128 to 127',
  INT16: 'an integer from -32768 to 32767',
  INT32: 'an integer from -2^31 to 2^31 - 1',
  UINT64: 'a bigint from 0 to 2^64 - 1',
  INT64: 'a bigint from -2^63 to 2^63 - 1',
  FP16: 'a number',
  BF16: 'a number',
  FP32: 'a number',
  FP64: 'a number',
};

function checkBoolBytes(values: Uint8Array, what: string): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    if (value > 1) throw wrongElements('BOOL', '0 or 1', String(value), `element ${index} of ${what}`);
  }
}

function wrongElements(datatype: Datatype, expected: string, got: string, what: string): ServingError {
  return invalidRequest(`Cannot make ${what}: expected ${expected} for ${datatype}, got ${got}`);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `text ${JSON.stringify(value.slice(0, 20))}`;
  if (typeof value === 'bigint') return `bigint ${String(value)}`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === null ? 'null' : typeof value;
}
