import type { Datatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { allocateData, formatShape, type BytesData, type TensorData } from '../core/tensor.ts';
import { copyBytes } from './v2-proto-copy.ts';
import { FIXED32, FIXED64, LENGTH, VARINT, type ProtoReader } from './v2-proto-reader.ts';
import { varintFiller, type VarintDatatype } from './v2-proto-varints.ts';

/** Datatypes that InferTensorContents has a field for; FP16 and BF16 travel as raw bytes only. */
export type TypedDatatype = VarintDatatype | 'FP32' | 'FP64' | 'BYTES';

/** Field of InferTensorContents by datatype (OIP gRPC, "Tensor Data"). */
export const CONTENTS_FIELD: Readonly<Record<TypedDatatype, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
};

/** Names and element wire types of those fields, by number. */
const FIELD_NAMES = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
];
const ELEMENT_WIRE = [VARINT, VARINT, VARINT, VARINT, VARINT, VARINT, FIXED32, FIXED64, LENGTH];

/** Elements, or bytes of varints, handled between two pauses: well under a millisecond. */
export const SLICE_ELEMENTS = 1 << 16;
const COPY_SLICE_BYTES = 1 << 22;
const LENGTH_BYTES = 4;
const MAX_BYTES_LENGTH = 0xffff_ffff;

export function hasTypedContents(datatype: Datatype): datatype is TypedDatatype {
  return datatype !== 'FP16' && datatype !== 'BF16';
}

/**
 * Reads InferTensorContents into data of `count` elements. Nothing is allocated before the elements on the wire have been counted, so that a huge
 * shape over few bytes costs nothing. Throws invalid_request: elements in a field of another datatype, another number of them, a value out of range.
 */
export function* decodeContents(
  datatype: TypedDatatype,
  shape: readonly number[],
  count: number,
  contents: ProtoReader,
  what: string,
): Steps<TensorData> {
  const start = contents.position;
  const field = CONTENTS_FIELD[datatype];
  const found = yield* countElements(contents, datatype, field, what);
  if (found.count !== count) {
    const expected = `${count} elements for ${datatype} ${formatShape(shape)}`;
    throw invalidRequest(`Cannot decode ${what}: expected ${expected} in ${nameOf(field)}, got ${found.count}`);
  }
  contents.position = start;
  if (datatype === 'BYTES') return yield* fillBytes(contents, count, found.bytes, what);
  if (datatype === 'FP32' || datatype === 'FP64') return yield* fillFloats(datatype, contents, count);
  return yield* fillVarints(datatype, contents, field, count, what);
}

function nameOf(field: number): string {
  return FIELD_NAMES[field] ?? '?';
}

/** Counts the elements of `field`, packed or not, and the bytes of BYTES elements. */
function* countElements(contents: ProtoReader, datatype: Datatype, field: number, what: string): Steps<{ count: number; bytes: number }> {
  const elementWire = ELEMENT_WIRE[field] ?? VARINT;
  let count = 0;
  let bytes = 0;
  let fields = 0;
  while (contents.next()) {
    if (++fields % SLICE_ELEMENTS === 0) yield;
    if (contents.field !== field) {
      skipOther(contents, datatype, field, what);
    } else if (elementWire !== LENGTH && contents.wireType === LENGTH) {
      count += yield* countPacked(contents, elementWire);
    } else {
      contents.expect(elementWire);
      const from = contents.position;
      contents.skip();
      bytes += contents.position - from;
      count += 1;
    }
  }
  return { count, bytes };
}

/** Elements of another datatype are refused; a field that carries none, or that nobody knows, is skipped. */
function skipOther(contents: ProtoReader, datatype: Datatype, field: number, what: string): void {
  const from = contents.position;
  contents.skip();
  const isEmpty = contents.wireType === LENGTH && contents.field !== CONTENTS_FIELD.BYTES && contents.position === from + 1;
  if (contents.field < FIELD_NAMES.length && !isEmpty) {
    throw invalidRequest(`Cannot decode ${what}: expected ${nameOf(field)} for ${datatype}, got ${nameOf(contents.field)}`);
  }
}

function* countPacked(contents: ProtoReader, elementWire: number): Steps<number> {
  const end = contents.packedEnd();
  const start = contents.position;
  contents.position = end;
  if (elementWire !== VARINT) {
    const size = elementWire === FIXED32 ? 4 : 8;
    if ((end - start) % size !== 0) throw contents.error(`${nameOf(contents.field)} has ${end - start} bytes, expected a multiple of ${size}`);
    return (end - start) / size;
  }
  const bytes = contents.bytes;
  let count = 0;
  for (let from = start; from < end; from += SLICE_ELEMENTS) {
    const to = Math.min(from + SLICE_ELEMENTS, end);
    // The last byte of every varint has its upper bit clear.
    for (let index = from; index < to; index++) if ((bytes[index] ?? 0) < 0x80) count += 1;
    yield;
  }
  if (end > start && (bytes[end - 1] ?? 0) >= 0x80) throw contents.error(`${nameOf(contents.field)} ends inside a varint`);
  return count;
}

/** Packed floats are the tensor's bytes already: one copy into storage of its own, whatever their alignment in the message. */
function* fillFloats(datatype: 'FP32' | 'FP64', contents: ProtoReader, count: number): Steps<TensorData> {
  const data = allocateData(datatype, count);
  const target = new Uint8Array(data.buffer);
  let position = 0;
  let fields = 0;
  while (contents.next()) {
    if (++fields % SLICE_ELEMENTS === 0) yield;
    if (contents.field !== CONTENTS_FIELD[datatype]) {
      contents.skip();
      continue;
    }
    const end = contents.wireType === LENGTH ? contents.packedEnd() : contents.position + data.BYTES_PER_ELEMENT;
    while (contents.position < end) {
      const to = Math.min(contents.position + COPY_SLICE_BYTES, end);
      target.set(contents.bytes.subarray(contents.position, to), position);
      position += to - contents.position;
      contents.position = to;
      if (to < end) yield;
    }
  }
  return data;
}

function* fillVarints(datatype: VarintDatatype, contents: ProtoReader, field: number, count: number, what: string): Steps<TensorData> {
  const data = allocateData(datatype, count);
  const fill = varintFiller(datatype, data, contents, what);
  let index = 0;
  let fields = 0;
  while (contents.next()) {
    if (++fields % SLICE_ELEMENTS === 0) yield;
    if (contents.field !== field) contents.skip();
    else if (contents.wireType !== LENGTH) index = fill(index, index + 1, contents.end);
    else {
      const end = contents.packedEnd();
      while (contents.position < end) {
        index = fill(index, Math.min(index + SLICE_ELEMENTS, count), end);
        if (contents.position < end) yield;
      }
    }
  }
  return data;
}

/** `size`: bytes of all elements with their varint lengths, an upper bound of what they take here without our own lengths. */
function* fillBytes(contents: ProtoReader, count: number, size: number, what: string): Steps<BytesData> {
  const capacity = size + count * LENGTH_BYTES;
  if (capacity > MAX_BYTES_LENGTH) throw invalidRequest(`Cannot decode ${what}: expected at most ${MAX_BYTES_LENGTH} bytes, got ${capacity}`);
  const bytes = allocateData('UINT8', capacity);
  const view = new DataView(bytes.buffer);
  const offsets = new Uint32Array(count + 1);
  let position = 0;
  let index = 0;
  let fields = 0;
  while (contents.next()) {
    if (++fields % SLICE_ELEMENTS === 0) yield;
    if (contents.field !== CONTENTS_FIELD.BYTES) {
      contents.skip();
      continue;
    }
    const end = contents.length();
    view.setUint32(position, end - contents.position, true);
    copyBytes(contents.bytes, contents.position, end, bytes, position + LENGTH_BYTES);
    position += LENGTH_BYTES + end - contents.position;
    contents.position = end;
    offsets[++index] = position;
  }
  return { bytes: bytes.subarray(0, position), offsets };
}
