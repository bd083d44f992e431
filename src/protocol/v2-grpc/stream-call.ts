import { writeFrameHeader, FRAME_HEADER_BYTES } from '../../codec/index.ts';
import type { ServingError } from '../../core/errors.ts';
import { loggableRequestId } from '../../core/request-id.ts';
import { encodeHeaders, type ResponseHeaders } from '../http2/index.ts';
import { ANSWER_HEADERS, GrpcCall, type Arrival, type CallDependencies } from './call.ts';

/** The serving side of a call that may last for hours. */
export interface StreamListener {
  /** Throws what the call is to end with. */
  message(message: Buffer): void;
  /** The client has sent all it wanted to. */
  ended(): void;
  /** The client has taken what was sent. */
  drained?(): void;
  /** The call is over. */
  closed(): void;
}

export interface StreamSink {
  readonly path: string;
  /** False: the client is slow; more is kept in memory until `drained`. */
  readonly isReady: boolean;
  /** A message behind FRAME_HEADER_BYTES free bytes. */
  send(frame: Buffer): void;
  /** Ends the call, well or with an error. */
  finish(error?: ServingError): void;
}

export type StreamMethod = (sink: StreamSink) => StreamListener;

/** Messages in and out. While the client does not read, its own messages wait. */
export class StreamCall extends GrpcCall implements StreamSink {
  readonly #listener: StreamListener;
  /** What came before must be done first: inflating takes a while. */
  #before: Promise<void> | undefined;
  #pending = 0;

  constructor(name: string, method: StreamMethod, arrival: Arrival, deps: CallDependencies) {
    super(name, arrival, deps);
    this.#listener = method(this);
  }

  drained(): void {
    if (this.#pending === 0) this.stream.resume();
    this.#listener.drained?.();
  }

  get id(): string {
    return loggableRequestId(this.headers['x-request-id']) ?? '';
  }

  get isReady(): boolean {
    return this.stream.isReady;
  }

  send(frame: Buffer): void {
    if (this.isAnswered || this.stream.isClosed) return;
    if (!this.stream.hasResponded) this.#begin();
    writeFrameHeader(frame, frame.length - FRAME_HEADER_BYTES);
    if (!this.stream.write(frame)) this.stream.pause();
  }

  finish(error?: ServingError): void {
    if (this.isAnswered) return;
    if (error !== undefined) {
      this.fail(error);
      return;
    }
    this.isAnswered = true;
    this.finished('OK');
    if (!this.stream.hasResponded) this.#begin();
    this.stream.end(encodeHeaders({ 'grpc-status': 0 }));
  }

  protected isReading(isPartial: boolean): boolean {
    return isPartial;
  }

  protected onMessage(message: Buffer, isCompressed: boolean): void {
    if (!isCompressed && this.#before === undefined) this.#listener.message(message);
    else
      this.#after(async () => {
        this.#listener.message(isCompressed ? await this.inflate(message) : message);
      });
  }

  protected onEnd(): void {
    if (this.#before === undefined) this.#listener.ended();
    else {
      this.#after(() => {
        this.#listener.ended();
      });
    }
  }

  protected onClose(): void {
    if (!this.isAnswered) {
      this.isAnswered = true;
      this.finished('CANCELLED');
    }
    this.#listener.closed();
  }

  protected override sendError(trailers: ResponseHeaders): void {
    if (this.stream.hasResponded) this.stream.end(encodeHeaders(trailers));
    else super.sendError(trailers);
  }

  #begin(): void {
    this.stream.respond(encodeHeaders(ANSWER_HEADERS));
  }

  /** Nothing more is read until it is done: what waits is no more than one chunk held. */
  #after(step: () => void | Promise<void>): void {
    this.#pending++;
    this.stream.pause();
    this.#before = (this.#before ?? Promise.resolve())
      .then(() => (this.isAnswered ? undefined : step()))
      .catch((error: unknown) => {
        this.fail(error);
      })
      .finally(() => {
        this.#pending--;
        if (this.#pending === 0 && this.isReady) this.stream.resume();
      });
  }
}
