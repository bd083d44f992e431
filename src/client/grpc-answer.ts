import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { decodeStatusMessage, FRAME_HEADER_BYTES, frameFlag, frameLength } from '../codec/index.ts';
import { errorFromHttpStatus, errorFromReset, errorFromStatus } from './grpc-errors.ts';
import { InferenceError, invalidResponse, messageOf } from './inference-error.ts';
import type { StreamListener } from './http2-connection.ts';

/** The message of a successful call, and the server's initial metadata. */
export interface GrpcReply {
  readonly message: Buffer;
  /** Names in lower case, values of one name joined, binary ones in base64 as on the wire. The same object for the same headers: not to be changed. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Head {
  readonly status: number;
  readonly isGrpc: boolean;
  readonly encoding: string;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string;
  readonly pushback: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

/** By the arrays of `KnownBlocks`, which are the same ones again and again. */
const KNOWN_HEADS = new WeakMap<readonly string[], Head>();

/** Of the answer's encoding, which ends here. */
const OWN_NAMES: ReadonlySet<string> = new Set(['grpc-encoding', 'grpc-accept-encoding']);

const UNPACK: Readonly<Record<string, ((bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>) | undefined>> = {
  gzip: promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip),
  deflate: promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate),
};

export interface AnswerHandlers {
  succeed(reply: GrpcReply): void;
  fail(error: InferenceError): void;
  /** The server has not seen the request: it may be sent again, or failed with `error`. */
  untouched(error: InferenceError): void;
  /** Nothing more of the answer is wanted; `fail` follows. */
  stop(): void;
}

/** Puts one answer together from the frames of its stream, and settles once. Keeps at most `maxBytes` of message. */
export class GrpcAnswer implements StreamListener {
  readonly #host: string;
  readonly #maxBytes: number;
  readonly #handlers: AnswerHandlers;
  #head: Head | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Of the message with its frame's header; undefined before that has come. */
  #wanted: number | undefined;
  #isSettled = false;

  constructor(host: string, maxBytes: number, handlers: AnswerHandlers) {
    this.#host = host;
    this.#maxBytes = maxBytes;
    this.#handlers = handlers;
  }

  headers(list: readonly string[], isEnd: boolean): void {
    if (this.#isSettled) return;
    const head = headOf(list);
    if (this.#head === undefined) {
      // 103 Early Hints and the like.
      if (head.status >= 100 && head.status < 200 && !isEnd) return;
      if (head.grpcStatus === undefined && head.status !== 200) this.#fail(errorFromHttpStatus(head.status), !isEnd);
      else if (!head.isGrpc) this.#fail(invalidResponse(`Cannot read the response of ${this.#host}: it is no application/grpc`), !isEnd);
      else this.#head = head;
    }
    if (isEnd && !this.#hasSettled()) this.#finish(head);
  }

  data(bytes: Buffer, isEnd: boolean): void {
    if (this.#isSettled) return;
    if (this.#head === undefined) this.#fail(this.#invalid('it begins without headers'), !isEnd);
    else this.#keep(bytes, isEnd);
    if (isEnd && !this.#hasSettled()) this.#fail(this.#invalid('it ended without a status'), false);
  }

  reset(code: number): void {
    if (this.#isSettled) return;
    const error = errorFromReset(code);
    if (error.grpcCode === 'UNAVAILABLE' && this.#head === undefined) this.#settle().untouched(error);
    else this.#fail(error, false);
  }

  lost(error: InferenceError, isUntouched: boolean): void {
    if (this.#isSettled) return;
    if (isUntouched) this.#settle().untouched(error);
    else this.#fail(error, false);
  }

  #keep(bytes: Buffer, isEnd: boolean): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    if (this.#wanted === undefined && this.#bytes >= FRAME_HEADER_BYTES) {
      const first = this.#joined();
      const length = frameLength(first);
      if (length > this.#maxBytes) {
        this.#fail(this.#tooLarge(length), !isEnd);
        return;
      }
      this.#wanted = FRAME_HEADER_BYTES + length;
    }
    if (this.#wanted !== undefined && this.#bytes > this.#wanted) this.#fail(this.#invalid('more follows its one message'), !isEnd);
  }

  #joined(): Buffer {
    const [only] = this.#chunks;
    if (only !== undefined && this.#chunks.length === 1) return only;
    const joined = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [joined];
    return joined;
  }

  #finish({ grpcStatus, grpcMessage, pushback }: Head): void {
    if (grpcStatus === undefined) this.#fail(this.#invalid('it ended without a status'), false);
    else if (grpcStatus !== '0') {
      const code = /^\d+$/.test(grpcStatus) ? Number(grpcStatus) : -1;
      this.#fail(errorFromStatus({ code, details: decodeStatusMessage(grpcMessage), pushback }), false);
    } else if (this.#wanted === undefined || this.#bytes < this.#wanted) this.#fail(this.#invalid('it ended within its message'), false);
    else this.#deliver();
  }

  #deliver(): void {
    const bytes = this.#joined();
    const message = bytes.subarray(FRAME_HEADER_BYTES);
    const headers = this.#head?.metadata ?? {};
    if (frameFlag(bytes) === 0) this.#settle().succeed({ message, headers });
    else void this.#unpack(message, this.#head?.encoding ?? '', headers);
  }

  async #unpack(message: Buffer, encoding: string, headers: GrpcReply['headers']): Promise<void> {
    const unpack = UNPACK[encoding];
    const handlers = this.#settle();
    if (unpack === undefined) {
      handlers.fail(this.#invalid(`it is packed by "${encoding}"`));
      return;
    }
    try {
      handlers.succeed({ message: await unpack(message, { maxOutputLength: this.#maxBytes }), headers });
    } catch (thrown) {
      const isLarge = thrown instanceof RangeError;
      handlers.fail(isLarge ? this.#tooLarge(this.#maxBytes) : this.#invalid(`it is not ${encoding} (${messageOf(thrown)})`));
    }
  }

  #tooLarge(bytes: number): InferenceError {
    const limit = `expected at most ${this.#maxBytes} bytes (maxResponseBytes)`;
    return new InferenceError('payload_too_large', `Cannot read the response: ${limit}, got ${bytes} or more`);
  }

  #invalid(what: string): InferenceError {
    return invalidResponse(`Cannot read the response of ${this.#host}: ${what}`);
  }

  /** `isOpen`: the server still sends. */
  #fail(error: InferenceError, isOpen: boolean): void {
    const handlers = this.#settle();
    if (isOpen) handlers.stop();
    handlers.fail(error);
  }

  #hasSettled(): boolean {
    return this.#isSettled;
  }

  #settle(): AnswerHandlers {
    this.#isSettled = true;
    this.#chunks = [];
    return this.#handlers;
  }
}

function headOf(list: readonly string[]): Head {
  const known = KNOWN_HEADS.get(list);
  if (known !== undefined) return known;
  const all: Record<string, string> = {};
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] ?? '';
    const value = list[i + 1] ?? '';
    const before = all[name];
    all[name] = before === undefined ? value : `${before}, ${value}`;
  }
  const head = {
    status: Number(all[':status'] ?? 0),
    isGrpc: /^application\/grpc(;|\+|$)/.test(all['content-type'] ?? ''),
    encoding: all['grpc-encoding'] ?? '',
    grpcStatus: all['grpc-status'],
    grpcMessage: all['grpc-message'] ?? '',
    pushback: all['grpc-retry-pushback-ms'],
    metadata: Object.freeze(Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith(':') && !OWN_NAMES.has(name)))),
  };
  KNOWN_HEADS.set(list, head);
  return head;
}
