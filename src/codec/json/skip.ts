import type { Steps } from '../../core/steps.ts';
import { readNumber } from './number.ts';
import type { JsonReader } from './reader.ts';

/** Bytes looked at between two pauses. */
const SLICE_BYTES = 1 << 14;

type Container = 'array' | 'object';
/** What may come next. */
type Expected = 'value' | 'valueOrClose' | 'keyOrClose' | 'key' | 'afterValue' | 'restOfString' | 'restOfKey';

/** Checks the syntax of the value at the cursor and moves behind it; `depth` containers are open around it. */
export function* skipValue(reader: JsonReader, depth: number): Steps<void> {
  const skipper = new Skipper(reader, depth);
  while (!skipper.run()) yield;
}

/** Reads the string at the cursor, however long it is. */
export function* readLongText(reader: JsonReader): Steps<string> {
  const start = reader.openString();
  while (!reader.scanString(SLICE_BYTES)) yield;
  return reader.decodeText(start);
}

/** A push-down automaton instead of recursion, so that it can stop anywhere and deep nesting costs no stack. */
class Skipper {
  readonly #reader: JsonReader;
  readonly #outerDepth: number;
  readonly #open: Container[] = [];
  #expected: Expected = 'value';

  constructor(reader: JsonReader, outerDepth: number) {
    this.#reader = reader;
    this.#outerDepth = outerDepth;
  }

  /** Goes on for about a slice; true when the value has ended. */
  run(): boolean {
    const reader = this.#reader;
    const sliceEnd = reader.pos + SLICE_BYTES;
    while (reader.pos < sliceEnd) {
      switch (this.#expected) {
        case 'value':
          this.#startValue(reader.peek());
          break;
        case 'valueOrClose':
          if (reader.take(0x5d)) this.#close();
          else this.#startValue(reader.peek());
          break;
        case 'keyOrClose':
          if (reader.take(0x7d)) this.#close();
          else this.#startKey();
          break;
        case 'key':
          this.#startKey();
          break;
        case 'afterValue':
          this.#afterValue();
          break;
        case 'restOfString':
          if (!reader.scanString(SLICE_BYTES)) return false;
          this.#expected = 'afterValue';
          break;
        case 'restOfKey':
          if (!reader.scanString(SLICE_BYTES)) return false;
          if (!reader.take(0x3a)) reader.fail('":"');
          this.#expected = 'value';
          break;
      }
      if (this.#expected === 'afterValue' && this.#open.length === 0) return true;
    }
    return false;
  }

  #startValue(byte: number): void {
    const reader = this.#reader;
    if (byte === 0x5b) this.#openContainer('array', 'valueOrClose');
    else if (byte === 0x7b) this.#openContainer('object', 'keyOrClose');
    else if (byte === 0x22) {
      reader.openString();
      this.#expected = 'restOfString';
    } else {
      if (byte === 0x74 || byte === 0x66 || byte === 0x6e) {
        if (!reader.takeLiteral('true') && !reader.takeLiteral('false') && !reader.takeLiteral('null')) reader.fail('a value');
      } else readNumber(reader);
      this.#expected = 'afterValue';
    }
  }

  #openContainer(container: Container, expected: Expected): void {
    this.#open.push(container);
    this.#reader.checkDepth(this.#outerDepth + this.#open.length);
    this.#reader.pos++;
    this.#expected = expected;
  }

  #startKey(): void {
    if (this.#reader.peek() !== 0x22) this.#reader.fail('a key');
    this.#reader.openString();
    this.#expected = 'restOfKey';
  }

  #afterValue(): void {
    const reader = this.#reader;
    const isArray = this.#open.at(-1) === 'array';
    if (reader.take(0x2c)) this.#expected = isArray ? 'value' : 'key';
    else if (reader.take(isArray ? 0x5d : 0x7d)) this.#close();
    else reader.fail(isArray ? '"," or "]"' : '"," or "}"');
  }

  #close(): void {
    this.#open.pop();
    this.#expected = 'afterValue';
  }
}
