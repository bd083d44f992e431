import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { allocateData, type TensorData } from '../core/tensor.ts';
import type { ArrayWalker } from './json/array-walker.ts';
import { decodeBase64 } from './json/base64.ts';
import type { JsonReader } from './json/reader.ts';
import { readLongText } from './json/skip.ts';
import { unescapeInto } from './json/unescape.ts';
import { BATCH_ELEMENTS, elementError, type ElementSink } from './tensor-json-sink.ts';

const LENGTH_BYTES = 4;
const MAX_BYTES_LENGTH = 0xffff_ffff;
/** Bytes of a string looked at, or copied, between two pauses. */
const SLICE_BYTES = 1 << 16;
const COPY_SLICE_BYTES = 4 << 20;
/** Below this a loop copies faster than a view and a native call. */
const SHORT_BYTES = 48;
const QUOTE = 0x22;

/** BYTES from JSON strings, as UTF-8 behind lengths; with `allowsBase64` also from `{"b64": "…"}` (v1). */
export class StringSink implements ElementSink {
  readonly #allowsBase64: boolean;
  #bytes: Uint8Array;
  #offsets: Uint32Array;
  #length = 0;

  constructor(capacity: number, allowsBase64: boolean) {
    this.#allowsBase64 = allowsBase64;
    this.#bytes = allocateData('UINT8', 256);
    this.#offsets = new Uint32Array(capacity + 1);
  }

  get length(): number {
    return this.#length;
  }

  *read(walker: ArrayWalker): Steps<void> {
    const { reader } = walker;
    while (walker.next()) {
      if (this.#length + 1 >= this.#offsets.length) yield* this.#growOffsets();
      if (reader.bytes[reader.pos] === QUOTE) {
        const start = reader.openString();
        while (!reader.scanString(SLICE_BYTES)) yield;
        if (!this.#storeShort(reader, start)) yield* this.#storeLong(reader, start);
      } else if (this.#allowsBase64 && reader.bytes[reader.pos] === 0x7b) yield* this.#readBase64(walker);
      else throw elementError(walker.what, this.#length, this.#expected(), reader.describeNext());
      if (this.#length % BATCH_ELEMENTS === 0) yield;
    }
  }

  /** Strings may be of any length: they are always read in slices. */
  tryRead(): boolean {
    return false;
  }

  readRest(walker: ArrayWalker): Steps<void> {
    return this.read(walker);
  }

  finish(): TensorData {
    return { bytes: this.#bytes.subarray(0, this.#end()), offsets: this.#offsets.subarray(0, this.#length + 1) };
  }

  #end(): number {
    return this.#offsets[this.#length] ?? 0;
  }

  #expected(): string {
    return this.#allowsBase64 ? 'BYTES (a string or {"b64": "…"})' : 'BYTES (a string)';
  }

  /** Stores the string just scanned in one go; false when it is too long for that, or for the room left. */
  #storeShort(reader: JsonReader, start: number): boolean {
    const end = reader.pos - 1;
    const target = this.#end() + LENGTH_BYTES;
    if (end - start > SLICE_BYTES || target + end - start > this.#bytes.length) return false;
    if (reader.escaped) {
      this.#addElement(unescapeInto(reader, start, end, this.#bytes, target)[1] - target);
      return true;
    }
    if (end - start > SHORT_BYTES) this.#bytes.set(reader.bytes.subarray(start, end), target);
    else for (let index = start; index < end; index++) this.#bytes[target + index - start] = reader.bytes[index] ?? 0;
    this.#addElement(end - start);
    return true;
  }

  *#storeLong(reader: JsonReader, start: number): Steps<void> {
    const end = reader.pos - 1;
    // Escapes only ever take more bytes than what they stand for.
    if (this.#end() + LENGTH_BYTES + end - start > this.#bytes.length) yield* this.#growBytes(LENGTH_BYTES + end - start);
    const target = this.#end() + LENGTH_BYTES;
    if (!reader.escaped) {
      yield* this.#copy(reader.bytes.subarray(start, end), target);
      this.#addElement(end - start);
      return;
    }
    let from = start;
    let to = target;
    while (from < end) {
      [from, to] = unescapeInto(reader, from, Math.min(from + SLICE_BYTES, end), this.#bytes, to);
      yield;
    }
    this.#addElement(to - target);
  }

  *#readBase64(walker: ArrayWalker): Steps<void> {
    const { reader, what } = walker;
    reader.pos++;
    if (reader.firstKey() !== 'b64') throw elementError(what, this.#length, this.#expected(), 'an object with other keys');
    if (reader.peek() !== QUOTE) throw elementError(what, this.#length, 'base64 text', reader.describeNext());
    const bytes = yield* decodeBase64(yield* readLongText(reader));
    if (bytes === undefined) throw elementError(what, this.#length, 'base64 text', 'other characters or a wrong length');
    if (reader.nextKey() !== undefined) throw elementError(what, this.#length, this.#expected(), 'an object with other keys');
    if (this.#end() + LENGTH_BYTES + bytes.length > this.#bytes.length) yield* this.#growBytes(LENGTH_BYTES + bytes.length);
    yield* this.#copy(bytes, this.#end() + LENGTH_BYTES);
    this.#addElement(bytes.length);
  }

  *#copy(source: Uint8Array, target: number): Steps<void> {
    for (let from = 0; from < source.length; from += COPY_SLICE_BYTES) {
      this.#bytes.set(source.subarray(from, from + COPY_SLICE_BYTES), target + from);
      yield;
    }
  }

  /** The element's content of `byteLength` bytes is in place; adds its length before it and its end to the offsets. */
  #addElement(byteLength: number): void {
    const start = this.#end();
    this.#bytes[start] = byteLength;
    this.#bytes[start + 1] = byteLength >>> 8;
    this.#bytes[start + 2] = byteLength >>> 16;
    this.#bytes[start + 3] = byteLength >>> 24;
    this.#length++;
    this.#offsets[this.#length] = start + LENGTH_BYTES + byteLength;
  }

  *#growBytes(extra: number): Steps<void> {
    const used = this.#end();
    if (used + extra > MAX_BYTES_LENGTH) throw invalidRequest(`Cannot hold BYTES elements of ${used + extra} bytes: at most ${MAX_BYTES_LENGTH}`);
    const old = this.#bytes;
    const grown = allocateData('UINT8', Math.min(Math.max(old.length * 2, used + extra), MAX_BYTES_LENGTH));
    for (let from = 0; from < used; from += COPY_SLICE_BYTES) {
      grown.set(old.subarray(from, Math.min(from + COPY_SLICE_BYTES, used)), from);
      yield;
    }
    this.#bytes = grown;
  }

  *#growOffsets(): Steps<void> {
    const grown = new Uint32Array(Math.max(this.#offsets.length * 2, 16));
    for (let from = 0; from < this.#offsets.length; from += COPY_SLICE_BYTES / 4) {
      grown.set(this.#offsets.subarray(from, from + COPY_SLICE_BYTES / 4), from);
      yield;
    }
    this.#offsets = grown;
  }
}
