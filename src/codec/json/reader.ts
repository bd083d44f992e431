import { ServingError } from '../../core/errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const CLOSE_OBJECT = 0x7d;
const CLOSE_LIST = 0x5d;

/** Keys, names and ids beyond this are refused: they are read in one go. Other strings have no limit of their own. */
const MAX_TEXT_BYTES = 1 << 20;

export interface JsonReaderOptions {
  /** Names the document in messages, e.g. `request body`. */
  readonly what: string;
  /** Most containers that may be open at once. */
  readonly maxDepth: number;
}

/**
 * A cursor over one strict JSON document (RFC 8259) in UTF-8, which `checkUtf8` has validated. It reads what it is asked for and nothing else: no tree is built.
 * Strings that hold half a surrogate pair (`"\ud800"`) are refused, because no UTF-8 can carry them on.
 */
export class JsonReader {
  readonly bytes: Uint8Array;
  readonly maxDepth: number;
  /** Index of the next byte; saved and set back by those who read a value later than it comes. */
  pos = 0;
  /** True when the string scanned last holds escapes. */
  escaped = false;
  readonly #what: string;
  readonly #buffer: Buffer;

  constructor(bytes: Uint8Array, options: JsonReaderOptions) {
    this.bytes = bytes;
    this.maxDepth = options.maxDepth;
    this.#what = options.what;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves to the next byte that is not white space and returns it; 0 at the end of the document. */
  peek(): number {
    const bytes = this.bytes;
    let pos = this.pos;
    let byte = bytes[pos] ?? 0;
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++pos] ?? 0;
    this.pos = pos;
    return byte;
  }

  /** Consumes `byte` when it is the next one that is not white space. */
  take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.pos++;
    return true;
  }

  /** The first key of an object whose `{` was taken, with the cursor at its value; undefined when the object is empty. */
  firstKey(): string | undefined {
    return this.take(CLOSE_OBJECT) ? undefined : this.#readKey('a key or "}"');
  }

  /** The next key after a value; undefined when the object ends. */
  nextKey(): string | undefined {
    if (this.take(COMMA)) return this.#readKey('a key');
    if (this.take(CLOSE_OBJECT)) return undefined;
    return this.fail('"," or "}"');
  }

  /** True when a list whose `[` was taken has a first element; the cursor is then at it. */
  firstElement(): boolean {
    return !this.take(CLOSE_LIST);
  }

  /** True when another element follows the one just read. */
  nextElement(): boolean {
    if (this.take(COMMA)) return true;
    if (this.take(CLOSE_LIST)) return false;
    return this.fail('"," or "]"');
  }

  #readKey(expected: string): string {
    if (this.peek() !== QUOTE) this.fail(expected);
    const key = this.readText();
    if (!this.take(COLON)) this.fail('":"');
    this.peek();
    return key;
  }

  /** Reads a string whose opening quote is the next byte. */
  readText(): string {
    const start = this.openString();
    if (!this.scanString(MAX_TEXT_BYTES)) {
      throw this.error(`a string of more than ${MAX_TEXT_BYTES} bytes at byte ${start}`);
    }
    return this.decodeText(start);
  }

  /** Consumes the opening quote and returns where the string's content starts. */
  openString(): number {
    this.escaped = false;
    return ++this.pos;
  }

  /** Consumes string content and its closing quote, but only about `maxBytes` of it: false when the quote was not reached, call again then. */
  scanString(maxBytes: number): boolean {
    const bytes = this.bytes;
    let pos = this.pos;
    const stop = Math.min(pos + maxBytes, bytes.length);
    while (pos < stop) {
      const byte = bytes[pos] ?? 0;
      if (byte === QUOTE) {
        this.pos = pos + 1;
        return true;
      }
      if (byte === BACKSLASH) {
        this.escaped = true;
        pos = this.#skipEscape(pos);
      } else if (byte < 0x20) {
        this.pos = pos;
        this.fail('an escape instead of the control character');
      } else pos++;
    }
    this.pos = pos;
    if (pos >= bytes.length) this.fail('the end of a string');
    return false;
  }

  /** Text of the string just scanned, whose content started at `start`. */
  decodeText(start: number): string {
    if (this.escaped) return JSON.parse(this.#buffer.toString('utf8', start - 1, this.pos)) as string;
    return this.#buffer.toString('utf8', start, this.pos - 1);
  }

  /** The document's bytes from `start` to the cursor, which are ASCII. */
  asciiSince(start: number): string {
    return this.#buffer.toString('latin1', start, this.pos);
  }

  /** Consumes `true`, `false` or `null`, given as ASCII text; false when something else stands there. */
  takeLiteral(literal: string): boolean {
    const { bytes, pos } = this;
    for (let index = 0; index < literal.length; index++) if (bytes[pos + index] !== literal.charCodeAt(index)) return false;
    this.pos = pos + literal.length;
    return true;
  }

  /** Throws unless only white space is left. */
  expectEnd(): void {
    this.peek();
    if (this.pos < this.bytes.length) this.fail('the end');
  }

  /** Throws when `depth` containers may not be open at once. */
  checkDepth(depth: number): void {
    if (depth > this.maxDepth) throw this.error(`nesting deeper than ${this.maxDepth} levels at byte ${this.pos}`);
  }

  /** What kind of value comes next, for messages. */
  describeNext(): string {
    const byte = this.peek();
    if (byte === 0x7b) return 'an object';
    if (byte === 0x5b) return 'a list';
    if (byte === QUOTE) return 'a string';
    if (byte === 0x74 || byte === 0x66) return 'a boolean';
    if (byte === 0x6e) return 'null';
    return byte === 0x2d || (byte >= 0x30 && byte <= 0x39) ? 'a number' : this.fail('a value');
  }

  fail(expected: string): never {
    throw this.error(`expected ${expected} at byte ${this.pos}, got ${this.#describeByte()}`);
  }

  error(problem: string): ServingError {
    return new ServingError('invalid_request', `Cannot parse ${this.#what}: ${problem}`);
  }

  #describeByte(): string {
    const byte = this.bytes[this.pos];
    if (byte === undefined) return 'the end';
    return byte > 0x20 && byte < 0x7f ? `"${String.fromCharCode(byte)}"` : `byte 0x${byte.toString(16).padStart(2, '0')}`;
  }

  /** Checks the escape at `pos` and returns where it ends; a surrogate pair counts as one escape. */
  #skipEscape(pos: number): number {
    const kind = this.bytes[pos + 1] ?? 0;
    if (kind !== 0x75) {
      // " \ / b f n r t
      if (kind === QUOTE || kind === BACKSLASH || kind === 0x2f || kind === 0x62 || kind === 0x66) return pos + 2;
      if (kind === 0x6e || kind === 0x72 || kind === 0x74) return pos + 2;
      this.pos = pos + 1;
      this.fail('an escape character');
    }
    const unit = this.readUnit(pos);
    if (unit < 0xd800 || unit > 0xdfff) return pos + 6;
    const isPair = unit < 0xdc00 && this.bytes[pos + 6] === BACKSLASH && this.bytes[pos + 7] === 0x75;
    const low = isPair ? this.readUnit(pos + 6) : 0;
    if (low < 0xdc00 || low > 0xdfff) throw this.error(`half a surrogate pair at byte ${pos}`);
    return pos + 12;
  }

  /** UTF-16 code unit of the `\uXXXX` at `pos`. */
  readUnit(pos: number): number {
    let unit = 0;
    for (let index = pos + 2; index < pos + 6; index++) {
      const digit = hexDigit(this.bytes[index] ?? 0);
      if (digit < 0) {
        this.pos = index;
        this.fail('a hexadecimal digit');
      }
      unit = unit * 16 + digit;
    }
    return unit;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
