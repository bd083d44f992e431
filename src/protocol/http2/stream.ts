import { ErrorCode, HTTP2_WINDOW_BYTES } from '../../codec/index.ts';

/** What hears of a stream. After `closed` it hears nothing more. */
export interface StreamListener {
  /** Bytes of the body, in the socket's memory. True: they were copied, and nobody looks at `bytes` again. */
  data(bytes: Buffer): boolean;
  /** The client has sent all. */
  ended(): void;
  /** What was written is on its way; more may be. */
  drained?(): void;
  /** Comes once. `isWhole`: the kernel has all of the answer, as far as the client took it. */
  closed(isWhole: boolean): void;
}

/** What a stream asks of its connection. */
export interface StreamOwner {
  sendHeaders(stream: ServerStream, block: Uint8Array, isEnd: boolean): void;
  /** Sends what the windows let through of what is in the stream. */
  send(stream: ServerStream): void;
  answer(stream: ServerStream, headers: Uint8Array, body: Uint8Array, trailers: Uint8Array): void;
  reset(stream: ServerStream, code: number): void;
  /** The listener had the bytes: the client may send as many more. */
  consumed(stream: ServerStream, bytes: number): void;
}

const SILENT: StreamListener = { data: () => true, ended: () => undefined, closed: () => undefined };

/** A client that takes less than this within the time for its next bytes is slower than any that is meant to be served. */
const STEP_BYTES = 1 << 20;

/** One request and its answer on an HTTP/2 connection. Whoever is given it sets `listener` at once. */
export class ServerStream {
  readonly id: number;
  listener: StreamListener = SILENT;
  /** Bytes that the client takes now; the outbox's, like what follows. */
  window = HTTP2_WINDOW_BYTES;
  /** What waits for the windows: the first from `unsentAt` on. */
  readonly unsent: Uint8Array[] = [];
  unsentAt = 0;
  /** Nothing is written any more: END_STREAM follows what is unsent, with the trailers if there are any. */
  isEnding = false;
  trailers: Uint8Array | undefined;
  /** END_STREAM is out. */
  isSent = false;
  /** The connection's, like what follows: bytes received without a WINDOW_UPDATE, and those of them that the listener had. */
  received = 0;
  consumed = 0;
  /** The client's END_STREAM has come. */
  isReceived = false;
  /** Bytes of the body that content-length leaves to come; undefined without one. */
  expected: number | undefined;
  isClosed = false;
  hasResponded = false;
  /** When the client took the last of what was sent, on the clock of `performance.now()`; coarse. */
  movedAt = 0;
  readonly #owner: StreamOwner;
  #isPaused = false;
  #isDelivering = false;
  #hasEnded = false;
  #waiting: Buffer[] | undefined;
  #step = 0;

  constructor(id: number, owner: StreamOwner) {
    this.id = id;
    this.#owner = owner;
  }

  /** The listener knows that the client has sent all. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether what was written is on its way. */
  get isReady(): boolean {
    return this.unsent.length === 0;
  }

  /** `block`: of `encodeHeaders`. With `isEnd` that is all. */
  respond(block: Uint8Array, isEnd = false): void {
    if (this.isClosed) return;
    this.hasResponded = true;
    this.isEnding ||= isEnd;
    this.movedAt = performance.now();
    this.#owner.sendHeaders(this, block, isEnd);
  }

  /** Headers that come before those of the answer. */
  inform(block: Uint8Array): void {
    if (!this.isClosed) this.#owner.sendHeaders(this, block, false);
  }

  /** False: the client is slow, and `bytes` are kept until `drained`. They stay as they are until then. */
  write(bytes: Uint8Array): boolean {
    if (this.isClosed) return false;
    if (bytes.length > 0) this.unsent.push(bytes);
    this.#owner.send(this);
    return this.isReady;
  }

  end(trailers?: Uint8Array): void {
    if (this.isClosed) return;
    this.isEnding = true;
    this.trailers = trailers;
    this.#owner.send(this);
  }

  /** Headers, all of the body and trailers: most answers go in one piece. */
  answer(headers: Uint8Array, body: Uint8Array, trailers: Uint8Array): void {
    if (this.isClosed) return;
    this.hasResponded = true;
    this.isEnding = true;
    this.movedAt = performance.now();
    this.#owner.answer(this, headers, body, trailers);
  }

  /** RST_STREAM: what is unsent is dropped. */
  reset(code: number = ErrorCode.cancel): void {
    if (!this.isClosed) this.#owner.reset(this, code);
  }

  /** Nothing is given to the listener until `resume`; the client is held back by its window. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  /** The connection's: whether content-length agrees with what comes (RFC 9113 section 8.1.1). */
  expects(bytes: number, isEnd: boolean): boolean {
    if (this.expected === undefined) return true;
    this.expected -= bytes;
    return isEnd ? this.expected === 0 : this.expected >= 0;
  }

  /** The connection's. True when nothing refers to the bytes any more. */
  take(bytes: Buffer, isEnd: boolean): boolean {
    if (isEnd) this.isReceived = true;
    if (this.#isPaused || this.#isDelivering || this.#waiting !== undefined) {
      if (bytes.length > 0) (this.#waiting ??= []).push(bytes);
      return bytes.length === 0;
    }
    const isCopied = bytes.length === 0 || this.#give(bytes);
    if (isEnd) this.#deliver();
    return isCopied;
  }

  /** The outbox's: so much went to the socket. */
  sent(bytes: number): void {
    this.#step += bytes;
    if (this.#step < STEP_BYTES) return;
    this.#step = 0;
    this.movedAt = performance.now();
  }

  /** The connection's, once. */
  close(isWhole: boolean): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.unsent.length = 0;
    for (const bytes of this.#waiting ?? []) this.#owner.consumed(this, bytes.length);
    this.#waiting = undefined;
    this.listener.closed(isWhole);
  }

  /** Listeners pause, resume and close the stream in the middle of it. */
  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    while (!this.#isPaused && !this.isClosed) {
      const bytes = this.#waiting?.shift();
      if (bytes === undefined) break;
      this.#give(bytes);
    }
    this.#isDelivering = false;
    if (this.#waiting?.length === 0) this.#waiting = undefined;
    if (!this.isReceived || this.#isPaused || this.isClosed || this.#hasEnded || this.#waiting !== undefined) return;
    this.#hasEnded = true;
    this.listener.ended();
  }

  #give(bytes: Buffer): boolean {
    const { length } = bytes;
    const isCopied = this.listener.data(bytes);
    this.#owner.consumed(this, length);
    return isCopied;
  }
}
