import { allocateData, type Tensor, type TensorData } from '../core/tensor.ts';
import { bytesFromElements } from '../core/tensor-bytes.ts';
import { BIGINT_RANGE } from '../core/datatype.ts';
import { runSteps } from '../core/steps.ts';
import { readNumber } from './json/number.ts';
import type { JsonReader } from './json/reader.ts';
import { readLongText } from './json/skip.ts';

const QUOTE = 0x22;
const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;
const TRUE = 0x74;
const FALSE = 0x66;
const NULL = 0x6e;

/** Numbers that JSON has no words for, as servers write them. */
const SPECIALS: ReadonlyMap<string, number> = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

type Kind = 'numbers' | 'booleans' | 'texts';

/** Gathers one output of an answer whose datatype and shape are not known before its end. Reads only what is known to be JSON. */
export class AnswerColumn {
  readonly #name: string;
  /** Elements per list by level; undefined where no list has ended yet. */
  readonly #sizes: (number | undefined)[] = [];
  /** Lists around every value; undefined before the first value. */
  #rank: number | undefined;
  #kind: Kind | undefined;
  #areWhole = true;
  readonly #numbers: number[] = [];
  /** Whole numbers that doubles cannot hold, by their place. */
  readonly #large = new Map<number, bigint>();
  readonly #texts: (string | Uint8Array)[] = [];
  /** All texts so far may stand for numbers. */
  #areSpecial = true;

  constructor(name: string) {
    this.#name = name;
  }

  /** Reads a value that `level` lists are open around; false when it fits no tensor together with those before. */
  read(reader: JsonReader, level: number): boolean {
    if (reader.peek() !== OPEN_LIST) return this.#readElement(reader, level);
    reader.pos++;
    let count = 0;
    for (let more = reader.firstElement(); more; more = reader.nextElement()) {
      if (!this.read(reader, level + 1)) return false;
      count++;
    }
    return this.setSize(level, count);
  }

  /** False when lists of that level had another size. */
  setSize(level: number, size: number): boolean {
    this.#sizes[level] ??= size;
    return this.#sizes[level] === size;
  }

  /** Undefined when some list is missing. */
  finish(): Tensor | undefined {
    const shape = this.#sizes.map((size) => size ?? 0);
    const count = this.#kind === 'texts' ? this.#texts.length : this.#numbers.length;
    if ((this.#rank ?? shape.length) !== shape.length || count !== shape.reduce((product, size) => product * size, 1)) return undefined;
    const name = this.#name;
    switch (this.#kind) {
      case 'booleans':
        return { name, datatype: 'BOOL', shape, data: Uint8Array.from(this.#numbers) };
      case 'texts':
        return {
          name,
          datatype: 'BYTES',
          shape,
          data: bytesFromElements(this.#texts.map((text) => (typeof text === 'string' ? Buffer.from(text) : text))),
        };
      default: {
        const isInteger = this.#areWhole && this.#kind !== undefined;
        return { name, datatype: isInteger ? 'INT64' : 'FP64', shape, data: isInteger ? this.#integers() : Float64Array.from(this.#numbers) };
      }
    }
  }

  #readElement(reader: JsonReader, level: number): boolean {
    if (this.#rank === undefined) this.#rank = level;
    if (this.#rank !== level) return false;
    switch (reader.peek()) {
      case QUOTE:
        return this.#addText(runSteps(readLongText(reader)));
      case OPEN_OBJECT:
        return this.#readBase64(reader);
      case TRUE:
      case FALSE:
        this.#numbers.push(reader.takeLiteral('true') ? 1 : 0);
        if (this.#numbers.at(-1) === 0) reader.takeLiteral('false');
        return this.#becomes('booleans');
      case NULL:
        return false;
      default:
        return this.#readNumber(reader);
    }
  }

  #readNumber(reader: JsonReader): boolean {
    const start = reader.pos;
    const value = readNumber(reader);
    if (!Number.isSafeInteger(value)) this.#noteUnsafe(reader.asciiSince(start));
    else if (this.#areWhole && !/^-?\d+$/.test(reader.asciiSince(start))) this.#areWhole = false;
    this.#numbers.push(value);
    if (this.#kind !== 'texts' || !this.#areSpecial) return this.#becomes('numbers');
    this.#kind = 'numbers';
    this.#texts.length = 0;
    return true;
  }

  #noteUnsafe(text: string): void {
    const integer = /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
    const [min, max] = BIGINT_RANGE.INT64;
    if (integer !== undefined && integer >= min && integer <= max) this.#large.set(this.#numbers.length, integer);
    else this.#areWhole = false;
  }

  #addText(text: string): boolean {
    const special = SPECIALS.get(text);
    if (special !== undefined && this.#areSpecial) {
      this.#numbers.push(special);
      this.#areWhole = false;
      if (this.#kind === 'numbers') return true;
    } else this.#areSpecial = false;
    this.#texts.push(text);
    return this.#becomes('texts');
  }

  #readBase64(reader: JsonReader): boolean {
    reader.pos++;
    if (reader.firstKey() !== 'b64' || reader.peek() !== QUOTE) return false;
    this.#texts.push(Buffer.from(runSteps(readLongText(reader)), 'base64'));
    this.#areSpecial = false;
    return reader.nextKey() === undefined && this.#becomes('texts');
  }

  #becomes(kind: Kind): boolean {
    this.#kind ??= kind;
    return this.#kind === kind;
  }

  #integers(): TensorData {
    const data = allocateData('INT64', this.#numbers.length);
    for (let index = 0; index < data.length; index++) data[index] = this.#large.get(index) ?? BigInt(this.#numbers[index] ?? 0);
    return data;
  }
}
