import { BIGINT_RANGE, INTEGER_RANGE, isBigIntDatatype, isFloatDatatype, type Datatype, type FixedSizeDatatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../core/float16.ts';
import { allocateData, isBytesData, type FixedSizeData, type Tensor } from '../core/tensor.ts';

/** A tensor of any datatype but BYTES. */
export interface NumericTensor extends Tensor {
  readonly datatype: FixedSizeDatatype;
  readonly data: FixedSizeData;
}

export function isNumeric(tensor: Tensor): tensor is NumericTensor {
  return !isBytesData(tensor.data);
}

/** Values as doubles, in order; 64-bit integers beyond 2^53 are rounded, BOOL is 0 and 1. */
export function toNumbers({ datatype, data }: NumericTensor): Float64Array {
  const numbers = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i]);
    if (datatype === 'FP16') numbers[i] = float16ToNumber(value);
    else if (datatype === 'BF16') numbers[i] = bfloat16ToNumber(value);
    else numbers[i] = value;
  }
  return numbers;
}

/** Storage of a datatype from doubles; floats are rounded. Throws invalid_request for a value that the datatype cannot hold; `what` names the values. */
export function fromNumbers(datatype: FixedSizeDatatype, values: ArrayLike<number>, what: string): FixedSizeData {
  const data: FixedSizeData = allocateData(datatype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    if (!isFloatDatatype(datatype)) checkInteger(datatype, value, what);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value);
    else if (datatype === 'FP16') data[i] = numberToFloat16(value);
    else if (datatype === 'BF16') data[i] = numberToBfloat16(value);
    else data[i] = value;
  }
  return data;
}

function checkInteger(datatype: Exclude<Datatype, 'BYTES' | 'FP16' | 'BF16' | 'FP32' | 'FP64'>, value: number, what: string): void {
  const [min, max] = datatype === 'BOOL' ? [0, 1] : isBigIntDatatype(datatype) ? BIGINT_RANGE[datatype] : INTEGER_RANGE[datatype];
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw invalidRequest(`Cannot use ${what} for a model that takes ${datatype}: expected whole numbers from ${min} to ${max}, got ${value}`);
}

/** Elements as unsigned words, so that values of every datatype are copied bit for bit by one loop. */
export interface Words {
  readonly words: Uint8Array | Uint16Array | Uint32Array;
  /** 2 for elements of 8 bytes. */
  readonly perElement: 1 | 2;
}

export function wordsOf(data: FixedSizeData): Words {
  const { buffer, byteOffset, length, BYTES_PER_ELEMENT: bytes } = data;
  if (bytes === 1) return { words: new Uint8Array(buffer, byteOffset, length), perElement: 1 };
  if (bytes === 2) return { words: new Uint16Array(buffer, byteOffset, length), perElement: 1 };
  if (bytes === 4) return { words: new Uint32Array(buffer, byteOffset, length), perElement: 1 };
  return { words: new Uint32Array(buffer, byteOffset, length * 2), perElement: 2 };
}
