import { randomUUID } from 'node:crypto';
import { FRAME_HEADER_BYTES, writeFrameHeader } from '../../codec/index.ts';
import type { RequestContext } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import { isTaken, releaseBuffer } from '../../core/release.ts';
import { loggableRequestId } from '../../core/request-id.ts';
import { StopSource, type StopSignal } from '../../core/stop-signal.ts';
import { encodeHeaders } from '../http2/index.ts';
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

const ANSWER_BLOCK = encodeHeaders(ANSWER_HEADERS);
const OK_BLOCK = encodeHeaders({ 'grpc-status': 0 });

/** One message in, one out. */
export class UnaryCall extends GrpcCall implements IncomingCall {
  responseHeaders: Readonly<Record<string, string>> | undefined;
  readonly #handler: UnaryHandler;
  readonly #stop = new StopSource();
  #message: Buffer | undefined;
  #isCompressed = false;
  /** What the client is being sent. */
  #frame: Buffer | undefined;
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
    if (this.isAnswered && now - this.stream.movedAt >= this.deps.limits.stallTimeoutMs) this.stream.reset();
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

  protected onClose(isWhole: boolean): void {
    // Without all of it gone, the socket may still refer to it: then the collector takes it.
    if (isWhole && this.#frame !== undefined && isTaken(this.#frame.buffer)) releaseBuffer(this.#frame.buffer);
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
    if (stream.isClosed) throw cancelled();
    const bytes = frame.length - FRAME_HEADER_BYTES;
    checkSize(bytes, this.deps.limits.maxSendBytes);
    writeFrameHeader(frame, bytes);
    const headers = this.responseHeaders === undefined ? ANSWER_BLOCK : encodeHeaders(withMetadata(ANSWER_HEADERS, this.responseHeaders));
    this.hold(frame.length);
    this.isAnswered = true;
    this.#frame = frame;
    stream.answer(headers, frame, OK_BLOCK);
    this.finished('OK');
  }

  #headerId(): string | undefined {
    return loggableRequestId(this.headers['x-request-id']);
  }
}

function cancelled(): ServingError {
  return new ServingError('cancelled', 'Call cancelled by the client');
}

function checkSize(bytes: number, maxSendBytes: number): void {
  if (maxSendBytes < 0 || bytes <= maxSendBytes) return;
  const limit = `expected at most ${maxSendBytes} (--grpc_max_send_message_length)`;
  throw new ServingError('payload_too_large', `Cannot send a response of ${bytes} bytes: ${limit}`);
}
