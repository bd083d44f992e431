/**
 * Collects the chunks of a body in one buffer. A body that comes in one chunk with a buffer of its own is taken as it is; anything else is copied once,
 * so that many tiny chunks cost no more memory than their bytes.
 */
export class ByteSink {
  #only: Uint8Array | undefined;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  #length = 0;
  readonly #expectedLength: number | undefined;

  /** `expectedLength`: bytes to come, when known; the buffer is made when the first two chunks are there, never on a promise alone. */
  constructor(expectedLength?: number) {
    this.#expectedLength = expectedLength;
  }

  get length(): number {
    return this.#length;
  }

  append(chunk: Uint8Array): void {
    if (this.#length === 0) {
      this.#only = chunk;
    } else {
      const end = this.#length + chunk.byteLength;
      const buffer = this.#reserve(end);
      if (this.#only !== undefined) buffer.set(this.#only, 0);
      this.#only = undefined;
      buffer.set(chunk, this.#length);
    }
    this.#length += chunk.byteLength;
  }

  /** All bytes, in a buffer that nothing else refers to. The sink is empty afterwards. */
  take(): Uint8Array {
    const { length } = this;
    let bytes: Uint8Array;
    if (this.#only !== undefined) bytes = ownsItsBuffer(this.#only) ? this.#only : new Uint8Array(this.#only);
    else bytes = this.#buffer === undefined ? new Uint8Array(0) : this.#buffer.subarray(0, length);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#only = undefined;
    this.#buffer = undefined;
    this.#length = 0;
  }

  #reserve(needed: number): Uint8Array<ArrayBuffer> {
    const current = this.#buffer;
    if (current !== undefined && current.byteLength >= needed) return current;
    const capacity = current === undefined ? Math.max(this.#expectedLength ?? 0, needed) : Math.max(needed, current.byteLength * 2);
    const grown = new Uint8Array(new ArrayBuffer(capacity));
    if (current !== undefined) grown.set(current.subarray(0, this.#length));
    this.#buffer = grown;
    return grown;
  }
}

/** False for slices of Node's shared pool. */
function ownsItsBuffer(chunk: Uint8Array): boolean {
  return chunk.byteOffset === 0 && chunk.buffer.byteLength === chunk.byteLength;
}
