import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../core/float16.ts';
import { bytesElement, bytesFromElements } from '../core/tensor-bytes.ts';
import { dataLength, isBytesData, type BytesData, type FixedSizeData, type Tensor, type TensorData } from '../core/tensor.ts';

/**
 * A row like `row` with other values: numbers scaled and shaken, integers and texts drawn from the range of those that the row has, so that a model that
 * took the row is likely to take this one (ids stay within a vocabulary, masks stay masks). The same `seed` gives the same row. Seed 0 is the row itself.
 */
export function variantOf(row: readonly Tensor[], seed: number): readonly Tensor[] {
  if (seed === 0) return row;
  const random = randomFrom(seed);
  return row.map((tensor) => ({ ...tensor, data: vary(tensor, random) }));
}

function vary({ datatype, data }: Tensor, random: () => number): TensorData {
  if (isBytesData(data)) return varyTexts(data, random);
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return varyFloats(data as Float32Array | Float64Array, random, IDENTITY);
    case 'FP16':
      return varyFloats(data as Uint16Array, random, { read: float16ToNumber, write: numberToFloat16 });
    case 'BF16':
      return varyFloats(data as Uint16Array, random, { read: bfloat16ToNumber, write: numberToBfloat16 });
    case 'BOOL':
      return (data as Uint8Array).map(() => (random() < 0.5 ? 0 : 1));
    default:
      return data instanceof BigInt64Array || data instanceof BigUint64Array ? varyBigIntegers(data, random) : varyIntegers(data, random);
  }
}

interface FloatCode {
  readonly read: (stored: number) => number;
  readonly write: (value: number) => number;
}

const IDENTITY: FloatCode = { read: (stored) => stored, write: (value) => value };

/** A model may give the same answer to a row and to its multiple, or to rows that are alike up to a shift: each value is moved on its own. */
function varyFloats<T extends Float32Array | Float64Array | Uint16Array>(data: T, random: () => number, { read, write }: FloatCode): T {
  const varied = data.slice() as T;
  let largest = 0;
  for (const stored of data) {
    const size = Math.abs(read(stored));
    if (size > largest && size < Infinity) largest = size;
  }
  const shake = largest === 0 ? 1 : largest / 4;
  for (let i = 0; i < varied.length; i++) varied[i] = write(read(varied[i] ?? 0) * (0.5 + random()) + (random() - 0.5) * shake);
  return varied;
}

function varyIntegers(data: Exclude<FixedSizeData, BigInt64Array | BigUint64Array>, random: () => number): FixedSizeData {
  let least = 0;
  let most = 1;
  for (const value of data) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const varied = data.slice();
  for (let i = 0; i < varied.length; i++) varied[i] = least + Math.floor(random() * (most - least + 1));
  return varied;
}

function varyBigIntegers<T extends BigInt64Array | BigUint64Array>(data: T, random: () => number): T {
  let least = 0n;
  let most = 1n;
  for (const value of data) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const varied = data.slice() as T;
  const range = Number(most - least + 1n);
  for (let i = 0; i < varied.length; i++) varied[i] = least + BigInt(Math.floor(random() * range));
  return varied;
}

/** Texts of the row in another order, the one or other cut short between two characters. */
function varyTexts(data: BytesData, random: () => number): BytesData {
  const count = dataLength(data);
  const texts = Array.from({ length: count }, () => {
    const text = bytesElement(data, Math.floor(random() * count));
    if (random() < 0.5) return text;
    let end = Math.floor(text.length * random());
    while (end > 0 && ((text[end] ?? 0) & 0xc0) === 0x80) end--;
    return text.subarray(0, end);
  });
  return bytesFromElements(texts);
}

/** Numbers from 0 up to 1 that follow from the seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b9);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
