import type { FileHandle } from 'node:fs/promises';

/** One field of a protobuf message: a varint's `value`, or the bytes from `start` to `end` (empty for a varint). Offsets count from the file's start. */
export interface ProtoField {
  readonly number: number;
  readonly value: bigint;
  readonly start: number;
  readonly end: number;
}

export class ProtoError extends Error {}

const WINDOW_BYTES = 64 * 1024;
/** A tag and a length take at most 5 + 10 bytes. */
const HEAD_BYTES = 16;

/** Walks protobuf messages in a file of any size through one window of 64 KiB; what is skipped is not read. */
export class ProtoReader {
  readonly #file: FileHandle;
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  readonly #size: number;
  #windowStart = 0;
  #windowLength = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  async *fields(start: number, end: number): AsyncGenerator<ProtoField, void, void> {
    let at = start;
    while (at < end) {
      await this.#load(at);
      const field = readField(this.#window.subarray(at - this.#windowStart, this.#windowLength), at, end);
      yield field;
      at = field.end;
    }
  }

  /** Bytes of a field, or its first `limit` bytes. */
  async bytes(field: ProtoField, limit: number): Promise<Buffer> {
    const bytes = Buffer.alloc(Math.min(field.end - field.start, limit));
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, field.start);
    return bytes.subarray(0, bytesRead);
  }

  async #load(at: number): Promise<void> {
    const loadedEnd = this.#windowStart + this.#windowLength;
    const isLoaded = at >= this.#windowStart && (at + HEAD_BYTES <= loadedEnd || (loadedEnd === this.#size && at < loadedEnd));
    if (isLoaded) return;
    const { bytesRead } = await this.#file.read(this.#window, 0, WINDOW_BYTES, at);
    this.#windowStart = at;
    this.#windowLength = bytesRead;
  }
}

/** The same walk over a message that is in memory already. */
export function* bufferFields(message: Buffer): Generator<ProtoField, void, void> {
  let at = 0;
  while (at < message.length) {
    const field = readField(message.subarray(at), at, message.length);
    yield field;
    at = field.end;
  }
}

/** All values of a repeated integer field, packed or not. */
export function readVarints(message: Buffer, field: ProtoField): bigint[] {
  if (field.start === field.end) return [field.value];
  const values: bigint[] = [];
  for (let at = field.start; at < field.end;) {
    const { value, length } = readVarint(message, at);
    values.push(value);
    at += length;
  }
  return values;
}

function readField(bytes: Buffer, at: number, end: number): ProtoField {
  const tag = readVarint(bytes, 0);
  const number = Number(tag.value >> 3n);
  const wire = Number(tag.value & 7n);
  if (number === 0) throw new ProtoError(`field number 0 at byte ${at}`);
  const bodyAt = at + tag.length;
  let value = 0n;
  let start = bodyAt;
  let next: number;
  if (wire === 0) {
    const varint = readVarint(bytes, tag.length);
    value = varint.value;
    start = next = bodyAt + varint.length;
  } else if (wire === 2) {
    const length = readVarint(bytes, tag.length);
    start = bodyAt + length.length;
    next = start + Number(length.value);
  } else if (wire === 1 || wire === 5) {
    next = bodyAt + (wire === 1 ? 8 : 4);
  } else {
    throw new ProtoError(`wire type ${wire} at byte ${at}`);
  }
  if (next > end) throw new ProtoError(`field ${number} at byte ${at} ends at byte ${next}, behind its message's end ${end}`);
  return { number, value, start, end: next };
}

function readVarint(bytes: Buffer, at: number): { value: bigint; length: number } {
  let low = 0;
  let high = 0n;
  for (let length = 0; length < 10; length++) {
    const byte = bytes[at + length];
    if (byte === undefined) throw new ProtoError('ends in the middle of a number');
    if (length < 4) low |= (byte & 0x7f) << (7 * length);
    else high |= BigInt(byte & 0x7f) << BigInt(7 * length);
    if (byte < 0x80) return { value: BigInt(low) | high, length: length + 1 };
  }
  throw new ProtoError('holds a number of more than 10 bytes');
}
