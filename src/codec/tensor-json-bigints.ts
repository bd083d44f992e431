import { BIGINT_RANGE } from '../core/datatype.ts';
import type { ArrayWalker } from './json/array-walker.ts';
import { integerFromDecimal } from './json/integer.ts';
import { readNumber } from './json/number.ts';
import type { JsonReader } from './json/reader.ts';
import { BatchSink, elementError } from './tensor-json-sink.ts';

const QUOTE = 0x22;
const WORD = 2 ** 32;
const TENS = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/** 64-bit integers, exact beyond 2^53: numbers in any notation, and strings of digits. */
export class BigIntSink extends BatchSink<BigInt64Array | BigUint64Array> {
  readonly #datatype: 'INT64' | 'UINT64';
  /** The batch as pairs of 32-bit words, low first: storing a small integer so spares a BigInt each. */
  readonly #words: Uint32Array;

  constructor(datatype: 'INT64' | 'UINT64', capacity: number) {
    super(datatype, capacity, (length) => (datatype === 'INT64' ? new BigInt64Array(length) : new BigUint64Array(length)));
    this.#datatype = datatype;
    this.#words = new Uint32Array(this.batch.buffer);
  }

  protected fillBatch(walker: ArrayWalker): number {
    let count = 0;
    while (count < this.batch.length && walker.next()) {
      this.#readElement(walker, count);
      count++;
    }
    return count;
  }

  #readElement(walker: ArrayWalker, slot: number): void {
    const { reader } = walker;
    const start = reader.pos;
    const byte = reader.bytes[start] ?? 0;
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      if (this.#readDigits(reader, slot)) return;
      readNumber(reader);
      this.#storeExactly(walker, slot, reader.asciiSince(start));
    } else if (byte === QUOTE) this.#storeExactly(walker, slot, reader.readText());
    else throw elementError(walker.what, this.length + slot, this.#expected(), reader.describeNext());
  }

  /**
   * Reads a number of up to 20 plain digits and stores it as two 32-bit words, exactly and without a BigInt. False, with the cursor where it was, when the
   * number is written in another way, or cannot be held.
   */
  #readDigits(reader: JsonReader, slot: number): boolean {
    const { bytes } = reader;
    const isNegative = bytes[reader.pos] === 0x2d;
    const start = isNegative ? reader.pos + 1 : reader.pos;
    let pos = start;
    let first = 0;
    let second = 0;
    let third = 0;
    let digit = (bytes[pos] ?? 0) - 0x30;
    while (digit >= 0 && digit <= 9) {
      const place = pos - start;
      if (place < 9) first = first * 10 + digit;
      else if (place < 18) second = second * 10 + digit;
      else third = third * 10 + digit;
      if (place === 20) return false;
      digit = (bytes[++pos] ?? 0) - 0x30;
    }
    const count = pos - start;
    const hasLeadingZero = count > 1 && bytes[start] === 0x30;
    // ".", "e" and "E" go on with the number.
    if (count === 0 || hasLeadingZero || digit === -2 || digit === 0x15 || digit === 0x35) return false;

    // Each product is below 2^53 or a multiple of a large enough power of two: all of this is exact.
    const leading = first * (TENS[Math.min(Math.max(count - 9, 0), 9)] ?? 1);
    const scale = TENS[Math.max(count - 18, 0)] ?? 1;
    let high = Math.floor(leading / WORD);
    let low = (leading - high * WORD + second) * scale + third;
    const carry = Math.floor(low / WORD);
    high = high * scale + carry;
    low -= carry * WORD;
    if (!this.#isHeld(isNegative, high, low)) return false;
    const isComplement = isNegative && (high > 0 || low > 0);
    this.#words[slot * 2] = isComplement ? -low : low;
    this.#words[slot * 2 + 1] = isComplement ? ~high + (low === 0 ? 1 : 0) : high;
    reader.pos = pos;
    return true;
  }

  #isHeld(isNegative: boolean, high: number, low: number): boolean {
    if (this.#datatype === 'UINT64') return isNegative ? high === 0 && low === 0 : high < WORD;
    return high < WORD / 2 || (isNegative && high === WORD / 2 && low === 0);
  }

  #storeExactly(walker: ArrayWalker, slot: number, text: string): void {
    const value = integerFromDecimal(text);
    const [min, max] = BIGINT_RANGE[this.#datatype];
    if (value === undefined || value < min || value > max) throw elementError(walker.what, this.length + slot, this.#expected(), text);
    this.batch[slot] = value;
  }

  #expected(): string {
    return `${this.#datatype} (an integer from ${BIGINT_RANGE[this.#datatype].join(' to ')})`;
  }
}
