import { isFloatDatatype } from '../core/datatype.ts';
import { bfloat16ToNumber, float16ToNumber } from '../core/float16.ts';
import { tensorToBytes } from '../core/tensor-bytes.ts';
import type { Tensor } from '../core/tensor.ts';

/** A batch adds up in another order than a row alone; of 1, or of the value where that is greater. */
const TOLERANCE = 1e-5;
/** FP16 and BF16 have three digits. */
const HALF_TOLERANCE = 1e-2;

/** True when names, datatypes and shapes are the same, floats nearly so, and everything else to the last byte. The order of outputs does not matter. */
export function isSameAnswer(got: readonly Tensor[], expected: readonly Tensor[]): boolean {
  return got.length === expected.length && expected.every((tensor) => got.some((other) => other.name === tensor.name && isSameTensor(other, tensor)));
}

function isSameTensor(got: Tensor, expected: Tensor): boolean {
  const { datatype } = expected;
  if (got.datatype !== datatype || got.shape.join() !== expected.shape.join()) return false;
  if (!isFloatDatatype(datatype)) return Buffer.compare(tensorToBytes(got.data), tensorToBytes(expected.data)) === 0;
  if (datatype === 'FP16' || datatype === 'BF16') {
    const toNumber = datatype === 'FP16' ? float16ToNumber : bfloat16ToNumber;
    return areClose(Array.from(got.data as Uint16Array, toNumber), Array.from(expected.data as Uint16Array, toNumber), HALF_TOLERANCE);
  }
  return areClose(got.data as Float64Array, expected.data as Float64Array, TOLERANCE);
}

function areClose(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): boolean {
  for (let index = 0; index < expected.length; index++) {
    const [a, b] = [got[index] ?? NaN, expected[index] ?? NaN];
    // Infinities differ from themselves by NaN.
    if (!(Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)))) return false;
  }
  return true;
}
