import type { Writable } from 'node:stream';

/** What is copied together for one write; beyond it, memory is handed over as it lies. */
const COPY_BYTES = 65_536;

/** Gathers what is written in one turn of the event loop into one system call. */
export class GatheredWriter {
  readonly #stream: Writable;
  readonly #written: (() => void) | undefined;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;
  readonly #flushLater = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  /** `written` is called after each write. */
  constructor(stream: Writable, written?: () => void) {
    this.#stream = stream;
    this.#written = written;
  }

  /** Bytes that the other side has not taken yet. */
  get backlogBytes(): number {
    return this.#bytes + this.#stream.writableLength;
  }

  /** `chunk` must stay as it is until it is written. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flushLater);
  }

  /** Writes what there is now. Nothing is written once the stream is closed. `done` is called when the kernel has all of it, and not when it never gets it. */
  flush(done?: () => void): void {
    const chunks = this.#chunks;
    const bytes = this.#bytes;
    const [only] = chunks;
    if (only === undefined) return;
    this.#chunks = [];
    this.#bytes = 0;
    const stream = this.#stream;
    if (!stream.writable) return;
    const taken =
      done === undefined
        ? undefined
        : (error?: Error | null): void => {
            if (error === undefined || error === null) done();
          };
    if (chunks.length === 1) stream.write(only, taken);
    else if (bytes <= COPY_BYTES) stream.write(Buffer.concat(chunks, bytes), taken);
    else {
      stream.cork();
      chunks.forEach((chunk, i) => stream.write(chunk, i === chunks.length - 1 ? taken : undefined));
      stream.uncork();
    }
    this.#written?.();
  }
}
