import {
  FrameFlag,
  FrameType,
  HTTP2_FRAME_BYTES,
  HTTP2_HEAD_BYTES,
  HTTP2_MAX,
  HTTP2_WINDOW_BYTES,
  http2Head,
  writeHttp2Head,
} from '../codec/index.ts';
import type { GatheredWriter } from '../core/gathered-writer.ts';

/** A request on its way out; the rest of its message belongs to the outbox. */
export interface OutgoingMessage {
  readonly id: number;
  body: Buffer;
  /** Where the rest of the message begins. */
  bodyAt: number;
  /** How much the server takes of this stream. */
  window: number;
}

const NO_BODY = Buffer.alloc(0);

/** Sends requests as far as the server's windows let them through (RFC 9113 section 5.2). */
export class Http2Outbox {
  readonly #writer: GatheredWriter;
  /** Messages that the windows do not let through yet. */
  readonly #blocked = new Set<OutgoingMessage>();
  #maxFrame = HTTP2_FRAME_BYTES;
  #window = HTTP2_WINDOW_BYTES;
  /** What streams start with. */
  #streamWindow = HTTP2_WINDOW_BYTES;

  constructor(writer: GatheredWriter) {
    this.#writer = writer;
  }

  get streamWindow(): number {
    return this.#streamWindow;
  }

  /** `block` and the message's body each have HTTP2_HEAD_BYTES of free space before them. */
  send(block: Buffer, message: OutgoingMessage): void {
    const end = Math.min(block.length, HTTP2_HEAD_BYTES + this.#maxFrame);
    writeHttp2Head(block, 0, end - HTTP2_HEAD_BYTES, FrameType.headers, end === block.length ? FrameFlag.endHeaders : 0, message.id);
    this.#writer.push(end === block.length ? block : block.subarray(0, end));
    for (let at = end; at < block.length; at += this.#maxFrame) {
      const part = block.subarray(at, at + this.#maxFrame);
      this.#writer.push(http2Head(part.length, FrameType.continuation, at + part.length === block.length ? FrameFlag.endHeaders : 0, message.id));
      this.#writer.push(part);
    }
    this.#sendBody(message);
  }

  /** Whether some of the message is still here. */
  has(message: OutgoingMessage): boolean {
    return message.bodyAt < message.body.length;
  }

  forget(message: OutgoingMessage): void {
    this.#blocked.delete(message);
    message.body = NO_BODY;
    message.bodyAt = 0;
  }

  setMaxFrame(bytes: number): void {
    if (bytes >= HTTP2_FRAME_BYTES) this.#maxFrame = bytes;
  }

  /** SETTINGS change the windows of open streams, too; they may fall below zero. Throws for a window that cannot be. */
  setStreamWindow(bytes: number, open: Iterable<OutgoingMessage>): void {
    if (bytes > HTTP2_MAX) throw new Error('a window is too large');
    for (const message of open) message.window += bytes - this.#streamWindow;
    this.#streamWindow = bytes;
  }

  /** WINDOW_UPDATE of a stream, or of the connection. Throws for a window that cannot be. */
  grow(bytes: number, message?: OutgoingMessage): void {
    if (message === undefined) {
      this.#window += bytes;
      if (this.#window > HTTP2_MAX) throw new Error('a window is too large');
      this.resume();
    } else {
      message.window += bytes;
      if (this.#blocked.has(message)) this.#sendBody(message);
    }
  }

  resume(): void {
    if (this.#blocked.size === 0) return;
    for (const message of [...this.#blocked]) this.#sendBody(message);
  }

  #sendBody(message: OutgoingMessage): void {
    const { body, id } = message;
    while (message.bodyAt < body.length) {
      const count = Math.min(body.length - message.bodyAt, this.#maxFrame, message.window, this.#window);
      if (count <= 0) {
        this.#blocked.add(message);
        return;
      }
      const end = message.bodyAt + count;
      const flags = end === body.length ? FrameFlag.endStream : 0;
      if (message.bodyAt === HTTP2_HEAD_BYTES) {
        writeHttp2Head(body, 0, count, FrameType.data, flags, id);
        this.#writer.push(body.subarray(0, end));
      } else {
        this.#writer.push(http2Head(count, FrameType.data, flags, id));
        this.#writer.push(body.subarray(message.bodyAt, end));
      }
      message.bodyAt = end;
      message.window -= count;
      this.#window -= count;
    }
    this.forget(message);
  }
}
