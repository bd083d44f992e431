/** The first buffer holds a small answer whole; later ones grow, so that a large answer has few chunks. */
const FIRST_CHUNK_BYTES = 1 << 10;
const SECOND_CHUNK_BYTES = 1 << 16;
const MAX_CHUNK_BYTES = 1 << 20;
/** Characters that are written faster one by one than by a call into the platform. */
const SHORT_TEXT = 32;
const ASCII = /^[\x20-\x7e]*$/;

/**
 * Gathers a JSON document as a list of chunks; nothing is ever joined or copied twice. Those who write in bulk call `reserve`, write into `buffer`
 * from `pos` on and move `pos`.
 */
export class JsonWriter {
  buffer: Buffer = Buffer.allocUnsafe(FIRST_CHUNK_BYTES);
  pos = 0;
  readonly #chunks: Uint8Array[] = [];
  #flushed = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#flushed + this.pos;
  }

  /** Makes sure that `bytes` more bytes fit behind `pos`; may replace `buffer`. */
  reserve(bytes: number): void {
    if (this.pos + bytes <= this.buffer.length) return;
    const size = this.#chunks.length === 0 ? SECOND_CHUNK_BYTES : Math.min(this.buffer.length * 2, MAX_CHUNK_BYTES);
    this.#flush();
    this.buffer = Buffer.allocUnsafeSlow(Math.max(size, bytes));
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.pos++] = value;
  }

  /** Text of ASCII characters, as it is. */
  ascii(text: string): void {
    this.reserve(text.length);
    if (text.length > SHORT_TEXT) this.pos += this.buffer.write(text, this.pos, 'latin1');
    else {
      const { buffer, pos } = this;
      for (let index = 0; index < text.length; index++) buffer[pos + index] = text.charCodeAt(index);
      this.pos = pos + text.length;
    }
  }

  /** A JSON string; lone surrogates are escaped. */
  string(text: string): void {
    const json = JSON.stringify(text);
    if (json.length <= SHORT_TEXT && ASCII.test(json)) {
      this.ascii(json);
      return;
    }
    this.reserve(json.length * 3);
    this.pos += this.buffer.write(json, this.pos);
  }

  /** A JSON number; NaN and infinities, which JSON lacks, as the strings "NaN", "Infinity" and "-Infinity". */
  number(value: number): void {
    this.ascii(Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(value)) : `"${value}"`);
  }

  /** All chunks; the writer is done with. */
  finish(): Uint8Array[] {
    this.#flush();
    return this.#chunks;
  }

  #flush(): void {
    if (this.pos > 0) this.#chunks.push(this.buffer.subarray(0, this.pos));
    this.#flushed += this.pos;
    this.pos = 0;
  }
}
