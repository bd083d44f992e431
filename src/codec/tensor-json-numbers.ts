import { INTEGER_RANGE, type Datatype } from '../core/datatype.ts';
import { isBfloat16Infinity, isFloat16Infinity, numberToBfloat16, numberToFloat16 } from '../core/float16.ts';
import type { ArrayWalker } from './json/array-walker.ts';
import { readNumber } from './json/number.ts';
import { BatchSink, elementError } from './tensor-json-sink.ts';

export type NumberDatatype = Exclude<Datatype, 'BYTES' | 'BOOL' | 'INT64' | 'UINT64'>;

/** From here on a double rounds to the float32 infinity. */
const FP32_LIMIT = (2 - 2 ** -24) * 2 ** 127;
const QUOTE = 0x22;

const FLOAT_WORDS: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity };

/** Floats and integers up to 32 bits. Numbers go through a batch of doubles, which is then checked and stored: one tight loop each. */
export class NumberSink extends BatchSink<Float64Array> {
  readonly #datatype: NumberDatatype;

  constructor(datatype: NumberDatatype, capacity: number) {
    super(datatype, capacity, (length) => new Float64Array(length));
    this.#datatype = datatype;
  }

  protected fillBatch(walker: ArrayWalker): number {
    const count = this.#readBatch(walker);
    this.#checkBatch(count, walker.what);
    return count;
  }

  /** Reads numbers until the batch is full or the value ends; returns how many. */
  #readBatch(walker: ArrayWalker): number {
    const { reader } = walker;
    const { bytes } = reader;
    const batch = this.batch;
    let count = 0;
    while (count < batch.length && walker.next()) {
      const byte = bytes[reader.pos] ?? 0;
      if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        const start = reader.pos;
        const value = readNumber(reader);
        // Infinity - Infinity is NaN: only a number too large for a double fails here.
        if (value - value !== 0) throw elementError(walker.what, this.length + count, describeRange(this.#datatype), reader.asciiSince(start));
        batch[count] = value;
      } else batch[count] = this.#readWord(walker, this.length + count);
      count++;
    }
    return count;
  }

  /** Floats may also be null (NaN), "NaN", "Infinity" and "-Infinity". */
  #readWord(walker: ArrayWalker, index: number): number {
    const { reader, what } = walker;
    const kind = reader.describeNext();
    if (this.#datatype in INTEGER_RANGE) throw elementError(what, index, describeRange(this.#datatype), kind);
    if (reader.takeLiteral('null')) return NaN;
    if (reader.peek() !== QUOTE) throw elementError(what, index, describeRange(this.#datatype), kind);
    const word = reader.readText();
    const value = Object.hasOwn(FLOAT_WORDS, word) ? FLOAT_WORDS[word] : undefined;
    if (value === undefined)
      throw elementError(what, index, `${describeRange(this.#datatype)}, "NaN", "Infinity" or "-Infinity"`, JSON.stringify(word));
    return value;
  }

  /** Refuses what the datatype cannot hold; FP16 and BF16 values are replaced by their bits. */
  #checkBatch(count: number, what: string): void {
    const batch = this.batch;
    const datatype = this.#datatype;
    if (datatype === 'FP64') return;
    for (let index = 0; index < count; index++) {
      const value = batch[index] ?? 0;
      let isHeld = true;
      if (datatype === 'FP32') isHeld = (value < FP32_LIMIT && value > -FP32_LIMIT) || value - value !== 0;
      else if (datatype === 'FP16' || datatype === 'BF16') {
        const bits = datatype === 'FP16' ? numberToFloat16(value) : numberToBfloat16(value);
        isHeld = value - value !== 0 || !(datatype === 'FP16' ? isFloat16Infinity(bits) : isBfloat16Infinity(bits));
        batch[index] = bits;
      } else {
        const range = INTEGER_RANGE[datatype];
        isHeld = value >= range[0] && value <= range[1] && Math.floor(value) === value;
      }
      if (!isHeld) throw elementError(what, this.length + index, describeRange(datatype), String(value));
    }
  }
}

/** The datatype with the values it holds, for messages. */
function describeRange(datatype: NumberDatatype): string {
  switch (datatype) {
    case 'FP64':
      return 'FP64 (a number up to ±1.7976931348623157e+308)';
    case 'FP32':
      return 'FP32 (a number up to ±3.4028235e+38)';
    case 'FP16':
      return 'FP16 (a number up to ±65504)';
    case 'BF16':
      return 'BF16 (a number up to ±3.3895314e+38)';
    default:
      return `${datatype} (an integer from ${INTEGER_RANGE[datatype].join(' to ')})`;
  }
}
