import { randomUUID } from 'node:crypto';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { FRAME_HEADER_BYTES, writeFrameHeader } from '../../codec/index.ts';
import type { RequestContext } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import { isTaken, releaseBuffer } from '../../core/release.ts';
import { loggableRequestId } from '../../core/request-id.ts';
import { StopSource, type StopSignal } from '../../core/stop-signal.ts';
import { ANSWER_HEADERS, GrpcCall, type Arrival, type CallDependencies } from './call.ts';
import { requestMetadata, withMetadata } from './metadata.ts';

/** What handlers see of a call. */
export interface IncomingCall {
  readonly path: string;
  readonly signal: StopSignal;
  /** What the handler of the model wants to be sent before the answer. */
  responseHeaders: Readonly<Record<string, string>> | undefined;
  /** `id` is the message's own. */
  context(id: string): RequestContext;
}

/**
 * A message in, the answer out: a message behind FRAME_HEADER_BYTES free bytes. Decoding is the handler's, so that what it throws becomes the client's error. The
 * message is valid until the handler settles.
 */
export type UnaryHandler = (message: Buffer, call: IncomingCall) => Buffer | Promise<Buffer>;

/** A client's timer for a deadline may fire this much before our clock says so. */
const CLOCK_TOLERANCE_MS = 2;

/** Answers are handed to the stream in pieces of this size, so that a client that takes nothing is told from a slow one. */
const PIECE_BYTES = 1 << 20;

const WITH_TRAILERS = { waitForTrailers: true } as const;
const OK_TRAILERS = Object.freeze({ 'grpc-status': 0 });

/** One message in, one out. */
export class UnaryCall extends GrpcCall implements IncomingCall {
  responseHeaders: Readonly<Record<string, string>> | undefined;
  readonly #handler: UnaryHandler;
  readonly #stop = new StopSource();
  #message: Buffer | undefined;
  #isCompressed = false;
  #isRunning = false;
  #requestId: string | undefined;

  constructor(name: string, handler: UnaryHandler, arrival: Arrival, deps: CallDependencies) {
    super(name, arrival, deps);
    this.#handler = handler;
  }

  get signal(): StopSignal {
    return this.#stop;
  }

  get id(): string {
    return this.#requestId ?? this.#headerId() ?? '';
  }

  context(id: string): RequestContext {
    const requestId = loggableRequestId(id) ?? this.#headerId() ?? randomUUID();
    this.#requestId = requestId;
    return { id: requestId, protocol: 'v2-grpc', signal: this.#stop, deadline: this.deadline, headers: requestMetadata(this.headers) };
  }

  override watch(now: number): void {
    super.watch(now);
    if (this.isAnswered && now - this.movedAt >= this.deps.limits.stallTimeoutMs) this.stream.close(constants.NGHTTP2_CANCEL);
  }

  protected isReading(): boolean {
    return !this.#isRunning;
  }

  protected onMessage(message: Buffer, isCompressed: boolean): void {
    if (this.#message !== undefined) throw new ServingError('unimplemented', `Cannot call ${this.path}: expected one message, got more`);
    this.#message = message;
    this.#isCompressed = isCompressed;
  }

  protected onEnd(): void {
    const message = this.#message;
    if (message === undefined) this.fail(new ServingError('unimplemented', `Cannot call ${this.path}: expected one message, got none`));
    else void this.#run(message);
  }

  protected onClose(): void {
    if (this.isAnswered) return;
    // At the deadline clients cancel, too; that is the scheduler's to tell.
    if (performance.now() < this.deadline - CLOCK_TOLERANCE_MS) this.#stop.abort(cancelled());
    if (!this.#isRunning) this.fail(cancelled());
  }

  /** Never rejects. */
  async #run(message: Buffer): Promise<void> {
    this.#isRunning = true;
    this.#message = undefined;
    try {
      const bytes = this.#isCompressed ? await this.inflate(message) : message;
      const handled = this.#handler(bytes, this);
      const frame = handled instanceof Promise ? await handled : handled;
      this.#send(frame);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #send(frame: Buffer): void {
    const { stream } = this;
    if (this.isAnswered) return;
    if (stream.destroyed || stream.closed) throw cancelled();
    const bytes = frame.length - FRAME_HEADER_BYTES;
    checkSize(bytes, this.deps.limits.maxSendBytes);
    writeFrameHeader(frame, bytes);
    const headers = this.responseHeaders === undefined ? ANSWER_HEADERS : withMetadata(ANSWER_HEADERS, this.responseHeaders);
    this.hold(frame.length);
    this.isAnswered = true;
    this.movedAt = performance.now();
    stream.respond(headers, WITH_TRAILERS);
    stream.on('wantTrailers', sendOk);
    if (isTaken(frame.buffer)) {
      // Its bytes were handed to the kernel. After an error the collector takes them.
      stream.once('finish', () => {
        releaseBuffer(frame.buffer);
      });
    }
    if (frame.length <= PIECE_BYTES) stream.end(frame);
    else this.#sendPieces(frame, 0);
    this.finished('OK');
  }

  #sendPieces(frame: Buffer, from: number): void {
    const { stream } = this;
    const end = from + PIECE_BYTES;
    if (end >= frame.length) {
      stream.end(frame.subarray(from));
      return;
    }
    stream.write(frame.subarray(from, end), () => {
      this.movedAt = performance.now();
      if (!stream.destroyed) this.#sendPieces(frame, end);
    });
  }

  #headerId(): string | undefined {
    const header = this.headers['x-request-id'];
    return loggableRequestId(header === undefined ? undefined : String(header));
  }
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK_TRAILERS);
}

function cancelled(): ServingError {
  return new ServingError('cancelled', 'Call cancelled by the client');
}

function checkSize(bytes: number, maxSendBytes: number): void {
  if (maxSendBytes < 0 || bytes <= maxSendBytes) return;
  const limit = `expected at most ${maxSendBytes} (--grpc_max_send_message_length)`;
  throw new ServingError('payload_too_large', `Cannot send a response of ${bytes} bytes: ${limit}`);
}
