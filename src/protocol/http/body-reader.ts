import { ServingError, invalidRequest } from '../../core/errors.ts';
import { ByteSink } from './byte-sink.ts';
import { createInflater, parseContentCoding, type ContentCoding, type Inflater } from './inflate.ts';

export interface BodyLimits {
  /** Bytes on the wire, and bytes after inflating. */
  readonly maxBodyBytes: number;
  /** Longest wait for the next bytes of a body. */
  readonly bodyTimeoutMs: number;
}

/** Where a body comes from. */
export interface BodySource {
  pause(): unknown;
  resume(): unknown;
}

/** Bytes of a body taken before the event loop is given back. */
const TURN_BYTES = 256 * 1024;

type BodyHeaders = Readonly<Record<string, string | undefined>>;

/** What the head says about the body. Throws payload_too_large and unsupported_media_type before a byte of it is read. */
export function readBodyHead(headers: BodyHeaders, limits: BodyLimits): { readonly coding: ContentCoding; readonly length: number | undefined } {
  const coding = parseContentCoding(headers['content-encoding']);
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && transfer.trim().toLowerCase() !== 'chunked') {
    throw new ServingError('unsupported_media_type', `Cannot read the body: expected Transfer-Encoding chunked, got "${transfer.slice(0, 64)}"`);
  }
  const text = headers['content-length'];
  const length = text === undefined ? undefined : Number(text);
  if (length !== undefined && length > limits.maxBodyBytes) throw tooLarge(limits.maxBodyBytes, `Content-Length ${String(length)}`);
  return { coding, length };
}

/**
 * Reads one body to its end. Its owner hands over what comes, and calls `watch`, which bounds the wait; `bytes` settles once. Memory is bounded by the limits, and the
 * source held back, until then.
 */
export class BodyReader {
  readonly bytes: Promise<Uint8Array>;
  readonly #source: BodySource;
  readonly #limits: BodyLimits;
  readonly #coding: ContentCoding;
  readonly #sink: ByteSink;
  #progressAt = performance.now();
  #isComplete = false;
  #inflater: Inflater | undefined;
  #received = 0;
  #sinceTurn = 0;
  #isSettled = false;
  #resolve: (bytes: Uint8Array) => void = () => undefined;
  #reject: (error: ServingError) => void = () => undefined;

  /** `mayBorrow`: the bytes are read through `use` alone. */
  constructor(source: BodySource, headers: BodyHeaders, limits: BodyLimits, mayBorrow: boolean) {
    const { coding, length } = readBodyHead(headers, limits);
    this.#source = source;
    this.#limits = limits;
    this.#coding = coding;
    this.#sink = new ByteSink(coding === 'identity' ? length : undefined, mayBorrow);
    this.bytes = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Bytes of the body as they came over the wire. */
  get received(): number {
    return this.#received;
  }

  /** Called now and then: gives the body up when its bytes have stopped coming. */
  watch(now: number): void {
    const { bodyTimeoutMs } = this.#limits;
    if (this.#isSettled || this.#isComplete || now - this.#progressAt < bodyTimeoutMs) return;
    this.fail(new ServingError('request_timeout', `Cannot read the body: nothing arrived for ${String(bodyTimeoutMs)} ms`));
  }

  /** Gives the body up; what still comes of it is thrown away. */
  fail(error: ServingError): void {
    if (!this.#settle()) return;
    this.#sink.release();
    this.#source.resume();
    this.#reject(error);
  }

  /** For a reader that may borrow: what `use` makes of the bytes, at which nobody may look afterwards. */
  async use<T>(use: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
    const bytes = await this.bytes;
    try {
      return await use(bytes);
    } finally {
      this.#sink.release();
    }
  }

  /** True when the chunk was copied, or nobody wants it. */
  push(chunk: Buffer): boolean {
    if (this.#isSettled) return true;
    this.#progressAt = performance.now();
    const { byteLength } = chunk;
    this.#received += byteLength;
    if (this.#received > this.#limits.maxBodyBytes) {
      this.fail(tooLarge(this.#limits.maxBodyBytes, 'more'));
      return true;
    }
    if (this.#coding === 'identity') {
      const isCopied = this.#sink.append(chunk);
      this.#pauseNowAndThen(byteLength);
      return isCopied;
    }
    this.#inflater ??= this.#startInflating(this.#coding, chunk[0] ?? 0);
    if (!this.#inflater.write(chunk)) this.#source.pause();
    return false;
  }

  /** All of the body has come. */
  end(): void {
    if (this.#isSettled) return;
    this.#isComplete = true;
    if (this.#inflater !== undefined) this.#inflater.end();
    else this.#finish();
  }

  /** libuv reads up to 2 MiB from a socket before it looks at any other. */
  #pauseNowAndThen(bytes: number): void {
    this.#sinceTurn += bytes;
    if (this.#sinceTurn < TURN_BYTES) return;
    this.#sinceTurn = 0;
    this.#source.pause();
    setImmediate(() => this.#source.resume());
  }

  #startInflating(coding: Exclude<ContentCoding, 'identity'>, firstByte: number): Inflater {
    const inflater = createInflater(coding, firstByte);
    inflater.on('data', (chunk: Buffer) => {
      if (this.#sink.length + chunk.byteLength > this.#limits.maxBodyBytes) this.fail(tooLarge(this.#limits.maxBodyBytes, 'more after inflating'));
      else if (!this.#isSettled) this.#sink.append(chunk);
    });
    inflater.on('drain', () => this.#source.resume());
    inflater.once('end', () => {
      this.#finish();
    });
    inflater.once('error', (error: Error) => {
      this.fail(invalidRequest(`Cannot inflate the body: expected ${coding} data, got ${error.message}`));
    });
    return inflater;
  }

  #finish(): void {
    if (this.#settle()) this.#resolve(this.#sink.take());
  }

  /** False when it had settled before. */
  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#inflater?.destroy();
    return true;
  }
}

function tooLarge(limit: number, got: string): ServingError {
  return new ServingError('payload_too_large', `Cannot read the body: expected at most ${String(limit)} bytes, got ${got}`);
}
