import { elementBytes, type Datatype } from './datatype.ts';
import { invalidRequest } from './errors.ts';
import { takeBuffer } from './release.ts';
import { runSteps, type Steps } from './steps.ts';
import { allocateData, elementCount, formatShape, isBytesData, viewData, type BytesData, type TensorData } from './tensor.ts';

/**
 * Raw tensor bytes, the same on REST (binary tensor data extension) and gRPC (`raw_input_contents`): row-major, little-endian, BOOL one byte of
 * 0 or 1, BYTES elements each after their length (u32). `BytesData` in tensor.ts draws the last.
 */
const LENGTH_BYTES = 4;
/** Offsets are 32 bits wide. */
const MAX_BYTES_LENGTH = 0xffff_ffff;

/** Work between two pauses: about a millisecond of copying, or of looking at single bytes. */
const COPY_SLICE_BYTES = 4 << 20;
const SCAN_SLICE = 1 << 16;

/**
 * Copies raw bytes into storage of the tensor's own, aligned for its datatype: the one copy of a tensor's way in; `bytes` may be dropped afterwards.
 * Throws invalid_request when the length does not fit datatype and shape, a BOOL is neither 0 nor 1, or a BYTES length leads outside.
 * `what` names the tensor in messages, e.g. `input "x"`.
 */
export function tensorFromBytes(datatype: Datatype, shape: readonly number[], bytes: Uint8Array, what: string): TensorData {
  return runSteps(tensorFromBytesSteps(datatype, shape, bytes, what));
}

/**
 * The same in slices, for tensors of many megabytes. `mayStay`: the bytes belong to the request, and a tensor may lie in them where they are aligned for its
 * datatype.
 */
export function* tensorFromBytesSteps(
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
  what: string,
  mayStay = false,
): Steps<TensorData> {
  const count = elementCount(shape, what);
  if (datatype === 'BYTES') return yield* bytesDataFromBytes(shape, count, bytes, what);
  const expected = count * elementBytes(datatype);
  if (bytes.length !== expected) {
    throw invalidRequest(`Cannot decode ${what}: expected ${expected} bytes for ${datatype} ${formatShape(shape)}, got ${bytes.length}`);
  }
  const { buffer: storage, byteOffset } = bytes;
  if (mayStay && datatype !== 'BOOL' && storage instanceof ArrayBuffer && byteOffset % elementBytes(datatype) === 0)
    return viewData(datatype, storage, byteOffset, count);
  const buffer = yield* copyToOwnBuffer(bytes);
  if (datatype === 'BOOL') yield* checkBools(new Uint8Array(buffer), what);
  return viewData(datatype, buffer, 0, count);
}

/** The raw bytes of a tensor's data, a view: no copy, and valid as long as the data is left alone. */
export function tensorToBytes(data: TensorData): Uint8Array {
  if (isBytesData(data)) return data.bytes.subarray(data.offsets[0] ?? 0, data.offsets[data.offsets.length - 1] ?? 0);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Lone surrogates become U+FFFD, as in every UTF-8 encoder of the platform. */
export function bytesFromStrings(strings: readonly string[]): BytesData {
  const encoder = new TextEncoder();
  return bytesFromElements(strings.map((text) => encoder.encode(text)));
}

/** Copies the elements behind their lengths. Throws invalid_request when they take 4 GiB or more. */
export function bytesFromElements(elements: readonly Uint8Array[]): BytesData {
  let total = 0;
  for (const element of elements) total += LENGTH_BYTES + element.length;
  if (total > MAX_BYTES_LENGTH) throw invalidRequest(`Cannot hold BYTES elements of ${total} bytes: at most ${MAX_BYTES_LENGTH}`);
  const bytes = allocateData('UINT8', total);
  const view = new DataView(bytes.buffer);
  const offsets = new Uint32Array(elements.length + 1);
  let position = 0;
  let index = 0;
  for (const element of elements) {
    view.setUint32(position, element.length, true);
    bytes.set(element, position + LENGTH_BYTES);
    position += LENGTH_BYTES + element.length;
    index += 1;
    offsets[index] = position;
  }
  return { bytes, offsets };
}

/** Element `index` without its length, a view. Throws RangeError when there is no such element. */
export function bytesElement(data: BytesData, index: number): Uint8Array {
  const start = data.offsets[index];
  const end = data.offsets[index + 1];
  if (start === undefined || end === undefined) throw new RangeError(`No element ${index} among ${data.offsets.length - 1}`);
  return data.bytes.subarray(start + LENGTH_BYTES, end);
}

/** Every element as text. Throws invalid_request for one that is not UTF-8: nothing is replaced silently; use `bytesElement` for such data. */
export function stringsFromBytes(data: BytesData): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const strings: string[] = [];
  for (let index = 0; index + 1 < data.offsets.length; index++) {
    try {
      strings.push(decoder.decode(bytesElement(data, index)));
    } catch {
      throw invalidRequest(`Cannot read BYTES element ${index} as text: expected UTF-8, got other bytes`);
    }
  }
  return strings;
}

function* bytesDataFromBytes(shape: readonly number[], count: number, bytes: Uint8Array, what: string): Steps<BytesData> {
  const expected = `${count} elements for BYTES ${formatShape(shape)}`;
  // Before the offsets are allocated: a huge shape over few bytes must cost nothing.
  if (bytes.length < count * LENGTH_BYTES) {
    throw invalidRequest(`Cannot decode ${what}: expected ${expected}, which take at least ${count * LENGTH_BYTES} bytes, got ${bytes.length}`);
  }
  if (bytes.length > MAX_BYTES_LENGTH) throw invalidRequest(`Cannot decode ${what}: expected at most ${MAX_BYTES_LENGTH} bytes, got ${bytes.length}`);
  const copy = new Uint8Array(yield* copyToOwnBuffer(bytes));
  const offsets = new Uint32Array(count + 1);
  let position = 0;
  for (let index = 0; index < count;) {
    const sliceEnd = Math.min(index + SCAN_SLICE, count);
    position = walkLengths(copy, offsets, index, sliceEnd, position, what, expected);
    index = sliceEnd;
    yield;
  }
  if (position !== copy.length) throw invalidRequest(`Cannot decode ${what}: ${expected} end after ${position} of ${copy.length} bytes`);
  return { bytes: copy, offsets };
}

/** Fills offsets (from, to] starting at `start`; returns where the last element ends. */
function walkLengths(bytes: Uint8Array, offsets: Uint32Array, from: number, to: number, start: number, what: string, expected: string): number {
  const view = new DataView(bytes.buffer);
  let position = start;
  for (let index = from; index < to; index++) {
    const left = bytes.length - position;
    if (left < LENGTH_BYTES) throw invalidRequest(`Cannot decode ${what}: expected ${expected}, got ${index} and ${left} bytes of a length`);
    const length = view.getUint32(position, true);
    if (length > left - LENGTH_BYTES) {
      throw invalidRequest(`Cannot decode ${what}: element ${index} announces ${length} bytes, ${left - LENGTH_BYTES} are left`);
    }
    position += LENGTH_BYTES + length;
    offsets[index + 1] = position;
  }
  return position;
}

function* copyToOwnBuffer(bytes: Uint8Array): Steps<ArrayBuffer> {
  const buffer = takeBuffer(bytes.length);
  const target = new Uint8Array(buffer);
  for (let from = 0; from < bytes.length; from += COPY_SLICE_BYTES) {
    target.set(bytes.subarray(from, from + COPY_SLICE_BYTES), from);
    yield;
  }
  return buffer;
}

function* checkBools(values: Uint8Array, what: string): Steps<void> {
  for (let from = 0; from < values.length; from += SCAN_SLICE) {
    const to = Math.min(from + SCAN_SLICE, values.length);
    for (let index = from; index < to; index++) {
      const value = values[index] ?? 0;
      if (value > 1) throw invalidRequest(`Cannot decode ${what}: expected 0 or 1 for BOOL element ${index}, got byte ${value}`);
    }
    yield;
  }
}
