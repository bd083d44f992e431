/** Memory that answers are read into, used again and again: fresh buffers for every read keep V8's collector busy all the time. */
export class BufferPool {
  readonly #bufferBytes: number;
  readonly #maxFree: number;
  readonly #free: Buffer<ArrayBuffer>[] = [];

  constructor(bufferBytes: number, maxFree: number) {
    this.#bufferBytes = bufferBytes;
    this.#maxFree = maxFree;
  }

  /** Owned by who takes it, until it is given back. */
  take(): Buffer<ArrayBuffer> {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
  }

  /** Any view of a buffer that was taken; nobody may read or write it afterwards. */
  give(view: Uint8Array<ArrayBuffer>): void {
    if (this.#free.length < this.#maxFree) this.#free.push(Buffer.from(view.buffer));
  }
}
