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

  /** Writes what there is now. Nothing is written once the stream is closed. */
  flush(): void {
    const chunks = this.#chunks;
    const bytes = this.#bytes;
    const [only] = chunks;
    if (only === undefined) return;
    this.#chunks = [];
    this.#bytes = 0;
    const stream = this.#stream;
    if (!stream.writable) return;
    if (chunks.length === 1) stream.write(only);
    else if (bytes <= COPY_BYTES) stream.write(Buffer.concat(chunks, bytes));
    else {
      stream.cork();
      for (const chunk of chunks) stream.write(chunk);
      stream.uncork();
    }
    this.#written?.();
  }
}
