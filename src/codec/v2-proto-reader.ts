import { isUtf8 } from 'node:buffer';
import { invalidRequest, type ServingError } from '../core/errors.ts';

/** Wire types of the protobuf encoding. 3 and 4 are groups, which proto3 does not have: refused, so nesting is bounded by the messages we descend into. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const FIXED32 = 5;

const WIRE_NAMES = ['a varint', '64 bits', 'bytes', 'a group', 'a group', '32 bits'];

/**
 * Reads one protobuf message in place, field by field. It never copies and never reads outside [position, end); whatever is malformed throws
 * invalid_request. `what` names the message in errors.
 *
 *     while (reader.next()) switch (reader.field) { case 1: … reader.string(); default: reader.skip(); }
 */
export class ProtoReader {
  readonly bytes: Buffer;
  readonly end: number;
  readonly what: string;
  position: number;
  field = 0;
  wireType = 0;
  /** The last varint: its lower and upper 32 bits, unsigned. */
  low = 0;
  high = 0;

  constructor(bytes: Buffer, start: number, end: number, what: string) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.what = what;
  }

  /** Reads the next tag into `field` and `wireType`; false at the end. */
  next(): boolean {
    if (this.position >= this.end) return false;
    this.varint();
    this.field = this.low >>> 3;
    this.wireType = this.low & 7;
    if (this.high !== 0 || this.field === 0) throw this.error('it has an invalid field number');
    if (this.wireType === 3 || this.wireType === 4) throw this.error(`field ${this.field} is a group, which proto3 does not have`);
    if (this.wireType > FIXED32) throw this.error(`field ${this.field} has invalid wire type ${this.wireType}`);
    return true;
  }

  /** Reads up to ten bytes into `low` and `high`. */
  varint(): void {
    const bytes = this.bytes;
    let low = 0;
    let high = 0;
    let count = 0;
    for (;;) {
      if (this.position >= this.end) throw this.error('it ends inside a varint');
      const byte = bytes[this.position++] ?? 0;
      if (count < 4) low |= (byte & 0x7f) << (7 * count);
      else if (count === 4) {
        low |= byte << 28;
        high = (byte & 0x7f) >>> 4;
      } else if (count < 9) high |= (byte & 0x7f) << (7 * count - 32);
      else if (byte > 1) throw this.error('a varint has more than 64 bits');
      else high |= byte << 31;
      if (byte < 0x80) break;
      count += 1;
    }
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  /** Checks that the current field came with `wireType`. */
  expect(wireType: number): void {
    if (this.wireType !== wireType) {
      throw this.error(`field ${this.field} came as ${WIRE_NAMES[this.wireType] ?? '?'}, expected ${WIRE_NAMES[wireType] ?? '?'}`);
    }
  }

  /** Reads a length and returns where the bytes end; they begin at `position`. */
  length(): number {
    this.expect(LENGTH);
    return this.packedEnd();
  }

  /** The same where the field may come packed or not, and the caller has looked at `wireType`. */
  packedEnd(): number {
    this.varint();
    const left = this.end - this.position;
    if (this.high !== 0 || this.low > left) {
      throw this.error(`field ${this.field} announces ${this.high * 2 ** 32 + this.low} bytes, ${left} are left`);
    }
    return this.position + this.low;
  }

  /** A nested message; the caller reads it, this reader goes on behind it. */
  message(what: string = this.what): ProtoReader {
    const end = this.length();
    const nested = new ProtoReader(this.bytes, this.position, end, what);
    this.position = end;
    return nested;
  }

  string(): string {
    const end = this.length();
    const start = this.position;
    this.position = end;
    if (!isUtf8(this.bytes.subarray(start, end))) throw this.error(`field ${this.field} is not valid UTF-8`);
    return this.bytes.toString('utf8', start, end);
  }

  bool(): boolean {
    this.expect(VARINT);
    this.varint();
    return (this.low | this.high) !== 0;
  }

  /** A bigint only where a number would lose digits. */
  int64(): number | bigint {
    this.expect(VARINT);
    this.varint();
    return this.signed();
  }

  /** The last varint as a signed 64-bit integer. */
  signed(): number | bigint {
    const value = (this.high | 0) * 2 ** 32 + this.low;
    return Number.isSafeInteger(value) ? value : BigInt.asIntN(64, this.unsignedBigInt());
  }

  uint64(): number | bigint {
    this.expect(VARINT);
    this.varint();
    const value = this.high * 2 ** 32 + this.low;
    return Number.isSafeInteger(value) ? value : this.unsignedBigInt();
  }

  double(): number {
    this.expect(FIXED64);
    const start = this.position;
    this.advance(8);
    return this.bytes.readDoubleLE(start);
  }

  skip(): void {
    switch (this.wireType) {
      case VARINT:
        this.varint();
        return;
      case FIXED64:
        this.advance(8);
        return;
      case FIXED32:
        this.advance(4);
        return;
      default:
        this.position = this.length();
    }
  }

  advance(count: number): void {
    if (count > this.end - this.position) throw this.error(`it ends inside field ${this.field}`);
    this.position += count;
  }

  error(problem: string): ServingError {
    return invalidRequest(`Cannot decode ${this.what}: ${problem}`);
  }

  private unsignedBigInt(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }
}
