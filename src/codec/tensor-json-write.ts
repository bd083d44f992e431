import { isUtf8 } from 'node:buffer';
import { bfloat16ToNumber, float16ToNumber } from '../core/float16.ts';
import type { Steps } from '../core/steps.ts';
import { bytesElement } from '../core/tensor-bytes.ts';
import { isBytesData, type BytesData, type FixedSizeData, type Tensor } from '../core/tensor.ts';
import { countDigits, MAX_FLOAT32_TEXT, writeDigits, writeFloat32 } from './json/float32.ts';
import { writeShortUtf8String, writeUtf8String } from './json/string-writer.ts';
import type { JsonWriter } from './json/writer.ts';

/** Elements written between two pauses. */
export const WRITE_BATCH = 2048;
const COMMA = 0x2c;
/** "-2147483648," and shorter. */
const MAX_INTEGER_TEXT = 12;
/** "-9223372036854775808," and shorter. */
const MAX_BIGINT_TEXT = 21;
const FEW_BIGINTS = 4;
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const MAX_BOOL_TEXT = 6;

/** What becomes of a BYTES element that is not UTF-8, which no JSON string can hold. Writes a value in its place, or throws. */
export type WriteBinaryElement = (writer: JsonWriter, bytes: Uint8Array, index: number) => void;

/** Bytes of strings written between two pauses. */
const SLICE_BYTES = 1 << 15;

/**
 * Writes elements [from, to) with commas between them: integers as digits, 64-bit ones exactly, BOOL as true and false, FP32 with the fewest digits that read
 * back as the same float32, FP64 likewise for doubles, FP16 and BF16 as the doubles they are exactly, NaN and infinities as the strings "NaN", "Infinity"
 * and "-Infinity", BYTES as strings.
 */
export function* writeElements(writer: JsonWriter, tensor: Tensor, from: number, to: number, writeBinary: WriteBinaryElement): Steps<void> {
  for (let batch = from; batch < to; batch += WRITE_BATCH) {
    if (batch > from) {
      writer.byte(COMMA);
      yield;
    }
    const end = Math.min(batch + WRITE_BATCH, to);
    if (isBytesData(tensor.data) && !isSmall(tensor, batch, end)) yield* writeLongStrings(writer, tensor.data, batch, end, writeBinary);
    else writeSmall(writer, tensor, batch, end, writeBinary);
  }
}

/** True when elements [from, to) may be written in one go. */
export function isSmall({ data }: Tensor, from: number, to: number): boolean {
  return to - from <= WRITE_BATCH && (!isBytesData(data) || (data.offsets[to] ?? 0) - (data.offsets[from] ?? 0) <= SLICE_BYTES);
}

/** As `writeElements`, in one go. */
export function writeSmall(writer: JsonWriter, { data, datatype }: Tensor, from: number, to: number, writeBinary: WriteBinaryElement): void {
  if (isBytesData(data)) writeShortStrings(writer, data, from, to, writeBinary);
  else if (data instanceof BigInt64Array || data instanceof BigUint64Array) writeBigInts(writer, data, from, to);
  else if (datatype === 'BOOL') writeBools(writer, data, from, to);
  else if (datatype === 'FP32') writeFloats32(writer, data, from, to);
  else if (datatype === 'FP64') writeDoubles(writer, data, from, to);
  else if (datatype === 'FP16') writeDoubles(writer, decodeFloats(data, from, to, float16ToNumber), 0, to - from);
  else if (datatype === 'BF16') writeDoubles(writer, decodeFloats(data, from, to, bfloat16ToNumber), 0, to - from);
  else writeIntegers(writer, data, from, to);
}

type NumberData = Exclude<FixedSizeData, BigInt64Array | BigUint64Array>;

function writeIntegers(writer: JsonWriter, data: NumberData, from: number, to: number): void {
  writer.reserve((to - from) * MAX_INTEGER_TEXT);
  const { buffer } = writer;
  let { pos } = writer;
  for (let index = from; index < to; index++) {
    if (index > from) buffer[pos++] = COMMA;
    pos = writeInteger(data[index] ?? 0, buffer, pos);
  }
  writer.pos = pos;
}

/** `value` is an integer of at most 53 bits. */
function writeInteger(value: number, out: Uint8Array, start: number): number {
  let pos = start;
  let magnitude = value;
  if (value < 0) {
    out[pos++] = 0x2d;
    magnitude = -value;
  }
  if (magnitude < 1e9) return writeDigits(magnitude, out, pos, countDigits(magnitude));
  const high = Math.floor(magnitude / 1e9);
  pos = writeDigits(high, out, pos, countDigits(high));
  return writeDigits(magnitude - high * 1e9, out, pos, 9);
}

function writeBigInts(writer: JsonWriter, data: BigInt64Array | BigUint64Array, from: number, to: number): void {
  writer.reserve((to - from) * MAX_BIGINT_TEXT);
  const { buffer } = writer;
  const isSigned = data instanceof BigInt64Array;
  if (to - from <= FEW_BIGINTS) {
    writeFewBigInts(writer, data, from, to);
    return;
  }
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
  let { pos } = writer;
  for (let index = from; index < to; index++) {
    if (index > from) buffer[pos++] = COMMA;
    // Integers of 53 bits, nearly all there are, need no BigInt.
    const highWord = words[index * 2 + 1] ?? 0;
    const value = (isSigned ? highWord | 0 : highWord) * 2 ** 32 + (words[index * 2] ?? 0);
    if (Number.isSafeInteger(value)) pos = writeInteger(value, buffer, pos);
    else pos += buffer.write(String(data[index]), pos, 'latin1');
  }
  writer.pos = pos;
}

/** A label or two: making another view of the memory costs more than the BigInts. */
function writeFewBigInts(writer: JsonWriter, data: BigInt64Array | BigUint64Array, from: number, to: number): void {
  for (let index = from; index < to; index++) writer.ascii(index > from ? `,${String(data[index])}` : String(data[index]));
}

function writeBools(writer: JsonWriter, data: NumberData, from: number, to: number): void {
  writer.reserve((to - from) * MAX_BOOL_TEXT);
  const { buffer } = writer;
  let { pos } = writer;
  for (let index = from; index < to; index++) {
    if (index > from) buffer[pos++] = COMMA;
    const text = data[index] === 0 ? FALSE : TRUE;
    for (let character = 0; character < text.length; character++) buffer[pos++] = text[character] ?? 0;
  }
  writer.pos = pos;
}

function writeFloats32(writer: JsonWriter, data: NumberData, from: number, to: number): void {
  writer.reserve((to - from) * (MAX_FLOAT32_TEXT + 1));
  const { buffer } = writer;
  for (let index = from; index < to; index++) {
    if (index > from) buffer[writer.pos++] = COMMA;
    const value = data[index] ?? 0;
    if (value - value === 0) writer.pos = writeFloat32(value, buffer, writer.pos);
    else writer.number(value);
  }
}

/** The platform turns a whole list of doubles into text fastest; what it would spell in a way that JSON lacks goes one by one. */
function writeDoubles(writer: JsonWriter, data: NumberData, from: number, to: number): void {
  for (let index = from; index < to; index++) {
    const value = data[index] ?? 0;
    if (value - value === 0 && !Object.is(value, -0)) continue;
    for (let element = from; element < to; element++) {
      if (element > from) writer.byte(COMMA);
      writer.number(data[element] ?? 0);
    }
    return;
  }
  writer.ascii(data.subarray(from, to).join(','));
}

function decodeFloats(data: NumberData, from: number, to: number, decode: (bits: number) => number): Float64Array {
  const values = new Float64Array(to - from);
  for (let index = from; index < to; index++) values[index - from] = decode(data[index] ?? 0);
  return values;
}

function writeShortStrings(writer: JsonWriter, data: BytesData, from: number, to: number, writeBinary: WriteBinaryElement): void {
  for (let index = from; index < to; index++) {
    if (index > from) writer.byte(COMMA);
    const bytes = bytesElement(data, index);
    if (isUtf8(bytes)) writeShortUtf8String(writer, bytes);
    else writeBinary(writer, bytes, index);
  }
}

function* writeLongStrings(writer: JsonWriter, data: BytesData, from: number, to: number, writeBinary: WriteBinaryElement): Steps<void> {
  let pauseAt = writer.length + SLICE_BYTES;
  for (let index = from; index < to; index++) {
    if (index > from) writer.byte(COMMA);
    const bytes = bytesElement(data, index);
    if (isUtf8(bytes)) yield* writeUtf8String(writer, bytes);
    else writeBinary(writer, bytes, index);
    if (writer.length < pauseAt) continue;
    pauseAt = writer.length + SLICE_BYTES;
    yield;
  }
}
