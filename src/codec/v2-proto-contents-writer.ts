import type { Steps } from '../core/steps.ts';
import { isBytesData, type BytesData, type FixedSizeData, type TensorData } from '../core/tensor.ts';
import { tensorToBytes } from '../core/tensor-bytes.ts';
import { CONTENTS_FIELD, SLICE_ELEMENTS, type TypedDatatype } from './v2-proto-contents.ts';
import { copyBytes } from './v2-proto-copy.ts';
import { LENGTH } from './v2-proto-reader.ts';
import { varintLength, type ProtoWriter } from './v2-proto-writer.ts';

const ELEMENT_PREFIX_BYTES = 4;

/** Sizes in bytes, found before anything is written because protobuf puts lengths first. */
export interface ContentsSize {
  /** The elements; for BYTES with tag and length of each. */
  readonly elements: number;
  /** The whole body of InferTensorContents; 0 without elements. */
  readonly body: number;
}

export function* measureContents(data: TensorData): Steps<ContentsSize> {
  if (isBytesData(data)) {
    const elements = yield* measureBytes(data);
    return { elements, body: elements };
  }
  const elements = yield* measurePacked(data);
  return { elements, body: elements === 0 ? 0 : 1 + varintLength(elements, 0) + elements };
}

/** Writes the body of InferTensorContents: elements packed into the datatype's field, BYTES one by one. */
export function* writeContents(writer: ProtoWriter, datatype: TypedDatatype, data: TensorData, size: ContentsSize): Steps<void> {
  writer.ensure(size.body);
  if (isBytesData(data)) {
    yield* writeBytes(writer, data);
  } else if (data instanceof Float32Array || data instanceof Float64Array || (data.BYTES_PER_ELEMENT === 1 && size.elements === data.length)) {
    // Floats, and bytes that all fit varints of one byte, are packed as they lie in memory.
    writer.bytes(CONTENTS_FIELD[datatype], tensorToBytes(data));
  } else {
    writer.tag(CONTENTS_FIELD[datatype], LENGTH);
    writer.varint(size.elements, 0);
    writer.ensure(size.elements);
    yield* writeVarints(writer, data);
  }
}

function* measurePacked(data: FixedSizeData): Steps<number> {
  if (data instanceof Float32Array || data instanceof Float64Array) return data.byteLength;
  let total = 0;
  for (let from = 0; from < data.length; from += SLICE_ELEMENTS) {
    const to = Math.min(from + SLICE_ELEMENTS, data.length);
    total += isWords(data) ? measureWords(wordsOf(data), from, to) : measureIntegers(data, from, to);
    yield;
  }
  return total;
}

function* writeVarints(writer: ProtoWriter, data: FixedSizeData): Steps<void> {
  for (let from = 0; from < data.length; from += SLICE_ELEMENTS) {
    const to = Math.min(from + SLICE_ELEMENTS, data.length);
    if (isWords(data)) {
      const words = wordsOf(data);
      for (let index = from; index < to; index++) writer.varintUnchecked(words[2 * index] ?? 0, words[2 * index + 1] ?? 0);
    } else {
      for (let index = from; index < to; index++) {
        const value = Number(data[index]);
        writer.varintUnchecked(value, value < 0 ? 0xffff_ffff : 0);
      }
    }
    yield;
  }
}

function isWords(data: FixedSizeData): data is BigInt64Array | BigUint64Array {
  return data instanceof BigInt64Array || data instanceof BigUint64Array;
}

/** 64-bit integers as pairs of words, lower one first. */
function wordsOf(data: BigInt64Array | BigUint64Array): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
}

function measureWords(words: Uint32Array, from: number, to: number): number {
  let total = 0;
  for (let index = from; index < to; index++) total += varintLength(words[2 * index] ?? 0, words[2 * index + 1] ?? 0);
  return total;
}

function measureIntegers(data: FixedSizeData, from: number, to: number): number {
  let total = 0;
  for (let index = from; index < to; index++) {
    const value = Number(data[index]);
    total += varintLength(value, value < 0 ? 0xffff_ffff : 0);
  }
  return total;
}

function* measureBytes(data: BytesData): Steps<number> {
  const count = data.offsets.length - 1;
  let total = 0;
  for (let index = 0; index < count; index++) {
    const length = elementLength(data, index);
    total += 1 + varintLength(length, 0) + length;
    if ((index + 1) % SLICE_ELEMENTS === 0) yield;
  }
  return total;
}

function* writeBytes(writer: ProtoWriter, data: BytesData): Steps<void> {
  const count = data.offsets.length - 1;
  for (let index = 0; index < count; index++) {
    const length = elementLength(data, index);
    const start = (data.offsets[index] ?? 0) + ELEMENT_PREFIX_BYTES;
    writer.tag(CONTENTS_FIELD.BYTES, LENGTH);
    writer.varint(length, 0);
    writer.ensure(length);
    copyBytes(data.bytes, start, start + length, writer.buffer, writer.position);
    writer.position += length;
    if ((index + 1) % SLICE_ELEMENTS === 0) yield;
  }
}

function elementLength(data: BytesData, index: number): number {
  return (data.offsets[index + 1] ?? 0) - (data.offsets[index] ?? 0) - ELEMENT_PREFIX_BYTES;
}
