import { decodeTimeout } from '../../codec/index.ts';
import type { Logger } from '../../core/context.ts';
import { invalidRequest, ServingError, severityOf, toServingError } from '../../core/errors.ts';
import {
  encodeHeaders,
  type Http2Connection,
  type OpenCall,
  type RequestHeaders,
  type ResponseHeaders,
  type ServerStream,
  type StreamListener,
} from '../http2/index.ts';
import { FrameReader } from './frame-reader.ts';
import { ENCODINGS, inflateMessage } from './inflate.ts';
import { errorTrailers, statusOf } from './status.ts';

/** Silent by default; server.ts connects telemetry. */
export interface GrpcObserver {
  /** `code` is the name of the gRPC status. */
  callFinished?(outcome: { readonly method: string; readonly code: string; readonly seconds: number }): void;
}

export interface CallLimits {
  /** Largest message taken, after inflating; -1: no limit. */
  readonly maxReceiveBytes: number;
  /** Largest message sent; -1: no limit. */
  readonly maxSendBytes: number;
  /** Longest wait for the next bytes of a message, and for a client to take the next bytes of an answer. */
  readonly stallTimeoutMs: number;
}

export interface CallDependencies {
  readonly limits: CallLimits;
  readonly log: Logger;
  readonly observer: GrpcObserver;
}

/** How a call came in. */
export interface Arrival {
  readonly stream: ServerStream;
  readonly headers: RequestHeaders;
  readonly connection: Http2Connection;
}

export const ANSWER_HEADERS: ResponseHeaders = Object.freeze({
  ':status': 200,
  'content-type': 'application/grpc+proto',
  'grpc-accept-encoding': ENCODINGS.join(','),
});

/** What one connection's messages and answers may hold at a time; beyond it further calls on it are refused. */
const MAX_HELD_BYTES = 1 << 28;

/** How late a call beyond its deadline is answered here at the earliest: who runs it watches the deadline, too, and says more. */
const DEADLINE_MARGIN_MS = 250;

/** One call on one stream, which it owns: reads messages, answers once, lets go when the stream closes. */
export abstract class GrpcCall implements OpenCall, StreamListener {
  slot = 0;
  readonly startedAt = performance.now();
  /** On the clock of `performance.now()`; Infinity without one. */
  readonly deadline: number;
  readonly headers: RequestHeaders;
  /** The method's name, for logs and metrics. */
  readonly name: string;
  protected readonly stream: ServerStream;
  protected readonly deps: CallDependencies;
  /** When bytes came or went last. */
  protected movedAt = this.startedAt;
  protected isAnswered = false;
  readonly #connection: Http2Connection;
  readonly #frames: FrameReader;
  #held = 0;

  constructor(name: string, { stream, headers, connection }: Arrival, deps: CallDependencies) {
    this.name = name;
    this.stream = stream;
    this.headers = headers;
    this.deps = deps;
    this.#connection = connection;
    this.#frames = new FrameReader(deps.limits.maxReceiveBytes, this.#onMessage);
    const timeout = headers['grpc-timeout'];
    this.deadline = timeout === undefined ? Infinity : this.startedAt + (decodeTimeout(timeout) ?? NaN);
  }

  /** Takes the stream over. */
  begin(): void {
    this.#connection.began(this);
    this.stream.listener = this;
    if (Number.isNaN(this.deadline)) {
      const got = this.headers['grpc-timeout']?.slice(0, 64) ?? '';
      this.fail(invalidRequest(`Cannot read header grpc-timeout: expected up to eight digits and a unit, got "${got}"`));
    }
  }

  /** The path of the request, which names service and method. */
  get path(): string {
    return this.headers[':path'] ?? '';
  }

  /** What logs call the request. */
  abstract get id(): string;

  /** Ends the call with an error, unless it has been answered. */
  fail(thrown: unknown): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    const error = toServingError(thrown);
    this.#report(error);
    this.finished(statusOf(error));
    if (!this.stream.isClosed) this.sendError(errorTrailers(error));
  }

  watch(now: number): void {
    if (this.isAnswered) return;
    if (now > this.deadline + DEADLINE_MARGIN_MS) this.fail(new ServingError('deadline_exceeded', 'Deadline of the call exceeded'));
    else if (this.isReading(this.#frames.isPartial) && now - this.movedAt >= this.deps.limits.stallTimeoutMs) {
      const problem = `nothing arrived for ${this.deps.limits.stallTimeoutMs} ms`;
      this.fail(new ServingError('deadline_exceeded', `Cannot read the message: ${problem}`));
    }
  }

  /** Whether bytes must come for the call to go on; `isPartial`: in the middle of a message. */
  protected abstract isReading(isPartial: boolean): boolean;
  protected abstract onMessage(message: Buffer, isCompressed: boolean): void;
  /** The client has sent all it wanted to. */
  protected abstract onEnd(): void;
  /** The stream is gone, answered or not. `isWhole`: the client was sent all of the answer. */
  protected abstract onClose(isWhole: boolean): void;

  protected inflate(message: Buffer): Promise<Buffer> {
    return inflateMessage(message, this.headers['grpc-encoding'], this.deps.limits.maxReceiveBytes);
  }

  protected sendError(trailers: ResponseHeaders): void {
    this.stream.respond(encodeHeaders({ ...ANSWER_HEADERS, ...trailers }), true);
  }

  protected finished(code: string): void {
    this.deps.observer.callFinished?.({ method: this.name, code, seconds: (performance.now() - this.startedAt) / 1000 });
  }

  /** Counts memory that this call keeps; throws overloaded when its connection keeps too much besides. */
  protected hold(bytes: number): void {
    const connection = this.#connection;
    connection.heldBytes += bytes - this.#held;
    this.#held = bytes;
    if (connection.heldBytes > MAX_HELD_BYTES && connection.heldBytes > bytes && bytes > 0) {
      throw new ServingError('overloaded', 'Cannot take the call: its connection has too many messages on their way, retry later');
    }
  }

  data(chunk: Buffer): boolean {
    if (this.isAnswered) return true;
    this.movedAt = performance.now();
    try {
      const isCopied = this.#frames.push(chunk);
      const { heldBytes } = this.#frames;
      if (heldBytes !== this.#held) this.hold(heldBytes);
      return isCopied;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  ended(): void {
    if (this.isAnswered) return;
    if (this.#frames.isPartial) this.fail(invalidRequest('Cannot read the message: the stream ended inside of it'));
    else this.onEnd();
  }

  closed(isWhole: boolean): void {
    this.#connection.ended(this);
    this.#connection.heldBytes -= this.#held;
    this.#held = 0;
    this.onClose(isWhole);
  }

  readonly #onMessage = (message: Buffer, isCompressed: boolean): void => {
    this.onMessage(message, isCompressed);
  };

  #report(error: ServingError): void {
    const severity = severityOf(error);
    const fields = { method: this.name, requestId: this.id, reason: error.reason, ...error.details, ...(severity === 'error' && { err: error }) };
    this.deps.log[severity](fields, `gRPC call failed: ${error.message}`);
  }
}
