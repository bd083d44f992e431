import { takeBuffer } from '../core/release.ts';
import { LENGTH, VARINT } from './v2-proto-reader.ts';

const LEAST_TAKEN_BYTES = 1 << 16;
const PAGE_BYTES = 4096;

/** Bytes of the varint of an unsigned 64-bit integer given in two halves. */
export function varintLength(low: number, high: number): number {
  if (high !== 0) return Math.floor((70 - Math.clz32(high)) / 7);
  return low === 0 ? 1 : Math.floor((38 - Math.clz32(low)) / 7);
}

/**
 * Writes protobuf fields into one growing buffer. Large fields are announced with `ensure`, so that the buffer grows once and the elements are written
 * without looking at its end. `finish` hands the buffer over.
 */
export class ProtoWriter {
  buffer: Buffer;
  position = 0;

  constructor(capacity: number) {
    this.buffer = Buffer.allocUnsafe(capacity);
  }

  /** Makes room for `count` more bytes. */
  ensure(count: number): void {
    const needed = this.position + count;
    if (needed <= this.buffer.length) return;
    const grown = roomFor(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  tag(field: number, wireType: number): void {
    this.varint((field << 3) | wireType, 0);
  }

  varint(low: number, high: number): void {
    this.ensure(10);
    this.varintUnchecked(low, high);
  }

  /** `low` and `high` are read as unsigned; room must have been made. */
  varintUnchecked(low: number, high: number): void {
    const buffer = this.buffer;
    let position = this.position;
    while (high !== 0 || low >>> 0 > 0x7f) {
      buffer[position++] = (low & 0x7f) | 0x80;
      low = (low >>> 7) | (high << 25);
      high >>>= 7;
    }
    buffer[position++] = low;
    this.position = position;
  }

  /** An empty string is proto3's default and takes no bytes. */
  string(field: number, text: string): void {
    if (text !== '') this.stringAlways(field, text);
  }

  /** For members of a oneof and for map keys, where presence counts. */
  stringAlways(field: number, text: string): void {
    const length = Buffer.byteLength(text);
    this.tag(field, LENGTH);
    this.varint(length, 0);
    this.ensure(length);
    this.position += this.buffer.write(text, this.position, length, 'utf8');
  }

  bool(field: number, value: boolean): void {
    this.tag(field, VARINT);
    this.varint(value ? 1 : 0, 0);
  }

  /** A 64-bit integer, two's complement. */
  int64(field: number, value: number | bigint): void {
    const bits = BigInt.asUintN(64, BigInt(value));
    this.tag(field, VARINT);
    this.varint(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
  }

  double(field: number, value: number): void {
    this.tag(field, 1);
    this.ensure(8);
    this.position = this.buffer.writeDoubleLE(value, this.position);
  }

  /** A bytes field, or a nested message already written. */
  bytes(field: number, bytes: Uint8Array): void {
    this.tag(field, LENGTH);
    this.varint(bytes.length, 0);
    this.append(bytes);
  }

  /** Bytes as they are, behind a tag and a length that the caller wrote. */
  append(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** What was written; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.buffer.subarray(0, this.position);
  }
}

/** Large buffers come from those that were given back, and are whoever gets `finish`'s to give back. */
function roomFor(bytes: number): Buffer {
  return bytes < LEAST_TAKEN_BYTES ? Buffer.allocUnsafe(bytes) : Buffer.from(takeBuffer(Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES));
}
