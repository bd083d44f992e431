import { encodeHttp2Numbers, ErrorCode, FrameType, Http2Error } from '../../codec/index.ts';
import type { GatheredWriter } from '../../core/gathered-writer.ts';
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from './settings.ts';
import type { ServerStream } from './stream.ts';

/** What the client may send (RFC 9113 section 5.2): it is told late that it may send more, and seldom. */
export class ReceiveWindow {
  readonly #writer: GatheredWriter;
  #left = CONNECTION_WINDOW_BYTES;
  #consumed = 0;

  constructor(writer: GatheredWriter) {
    this.#writer = writer;
  }

  /** Throws Http2Error when the client sends more than it may. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw new Http2Error('the client sends more than the window takes', ErrorCode.flowControlError);
  }

  /** False when the client sends more of the stream than it may. */
  takeOf(stream: ServerStream, bytes: number): boolean {
    stream.received += bytes;
    return stream.received <= STREAM_WINDOW_BYTES;
  }

  /** Bytes of no stream, or of one that has ended. */
  consume(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < CONNECTION_WINDOW_BYTES / 2) return;
    this.#writer.push(encodeHttp2Numbers(FrameType.windowUpdate, 0, this.#consumed));
    this.#left += this.#consumed;
    this.#consumed = 0;
  }

  consumeOf(stream: ServerStream, bytes: number): void {
    this.consume(bytes);
    if (stream.isClosed || stream.isReceived) return;
    stream.consumed += bytes;
    if (stream.consumed < STREAM_WINDOW_BYTES / 2) return;
    this.#writer.push(encodeHttp2Numbers(FrameType.windowUpdate, stream.id, stream.consumed));
    stream.received -= stream.consumed;
    stream.consumed = 0;
  }
}
