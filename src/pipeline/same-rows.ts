import type { Datatype } from '../core/datatype.ts';
import { bfloat16ToNumber, float16ToNumber } from '../core/float16.ts';
import { dataLength, formatShape, isBytesData, type BytesData, type Tensor, type TensorData } from '../core/tensor.ts';

/** Largest difference of numbers, as a part of the largest number that the output has: sums of many terms come out a little differently in runs of other sizes. */
const TOLERANCE: Partial<Readonly<Record<Datatype, number>>> = { FP32: 1e-6, FP64: 1e-6, FP16: 2 ** -10, BF16: 2 ** -7 };

/** The largest number of each output over the answers to several rows; 0 for outputs that are no numbers with a fraction. */
export function scalesOf(answers: readonly (readonly Tensor[])[]): readonly number[] {
  const [first = []] = answers;
  return first.map(({ datatype }, index) => {
    let largest = 0;
    for (const outputs of answers) {
      const tensor = outputs[index];
      if (tensor === undefined || TOLERANCE[datatype] === undefined) continue;
      for (const value of numbersOf(tensor)) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  });
}

/**
 * How an output differs from the same row's answer alone, for people; undefined when it does not. Numbers up to rounding at the scale that `scalesOf` tells,
 * everything else exactly.
 */
export function differenceOf(alone: readonly Tensor[], merged: readonly Tensor[], scales: readonly number[]): string | undefined {
  for (let i = 0; i < alone.length; i++) {
    const one = alone[i];
    const other = merged[i];
    if (one === undefined || other === undefined) return 'the number of outputs differs';
    const difference = tensorDifference(one, other, scales[i] ?? 0);
    if (difference !== undefined) return `output "${one.name}" differs: ${difference}`;
  }
  return undefined;
}

function tensorDifference(one: Tensor, other: Tensor, scale: number): string | undefined {
  const [shape, otherShape] = [formatShape(one.shape), formatShape(other.shape)];
  if (shape !== otherShape) return `shape ${shape} alone, ${otherShape} with other rows`;
  if (dataLength(one.data) !== dataLength(other.data)) return 'it has another number of elements';
  const tolerance = TOLERANCE[one.datatype];
  if (tolerance === undefined) return isSameData(one.data, other.data) ? undefined : 'its values are others';
  const distance = largestDistance(numbersOf(one), numbersOf(other));
  if (distance === 0 || distance <= tolerance * scale) return undefined;
  return distance === Infinity
    ? 'its values are others'
    : `its values are others by up to ${distance.toPrecision(2)}, the largest is ${scale.toPrecision(2)}`;
}

function isSameData(one: TensorData, other: TensorData): boolean {
  if (isBytesData(one) || isBytesData(other)) return isBytesData(one) && isBytesData(other) && isSameBytes(one, other);
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/** Offsets may begin at different places. */
function isSameBytes(one: BytesData, other: BytesData): boolean {
  return Buffer.from(wireOf(one)).equals(wireOf(other));
}

function wireOf({ bytes, offsets }: BytesData): Uint8Array {
  return bytes.subarray(offsets[0] ?? 0, offsets[offsets.length - 1] ?? 0);
}

function numbersOf({ datatype, data }: Tensor): Float32Array | Float64Array {
  if (datatype === 'FP16') return Float64Array.from(data as Uint16Array, float16ToNumber);
  if (datatype === 'BF16') return Float64Array.from(data as Uint16Array, bfloat16ToNumber);
  return data as Float32Array | Float64Array;
}

/** Infinity where only one is NaN, or infinities differ. */
function largestDistance(one: Float32Array | Float64Array, other: Float32Array | Float64Array): number {
  let distance = 0;
  for (let i = 0; i < one.length; i++) {
    const a = one[i] ?? 0;
    const b = other[i] ?? 0;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity;
    distance = Math.max(distance, Math.abs(a - b));
  }
  return distance;
}
