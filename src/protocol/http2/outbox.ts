import {
  encodeHttp2Frame,
  FrameFlag,
  FrameType,
  HTTP2_FRAME_BYTES,
  HTTP2_HEAD_BYTES,
  HTTP2_MAX,
  HTTP2_TABLE_BYTES,
  HTTP2_WINDOW_BYTES,
  http2Head,
  writeHttp2Head,
} from '../../codec/index.ts';
import type { GatheredWriter } from '../../core/gathered-writer.ts';
import type { ServerStream } from './stream.ts';

/** Answers up to this size are copied together with what stands around them. */
const JOINED_BYTES = 16_384;

/** Clients may take larger ones, but other streams wait behind each. */
const MOST_FRAME_BYTES = 1 << 18;

/** What a stream may send before others that wait have their turn. */
const TURN_BYTES = 65_536;

/** Bodies wait when the socket has so much that the client did not take. */
const MOST_BACKLOG_BYTES = 1 << 20;

const NOTHING = new Uint8Array(0);
/** Of a header block: the dynamic table holds nothing. */
const NO_TABLE = Uint8Array.of(0x20);

/** Sends answers as far as the client's windows and the socket let them through (RFC 9113 section 5.2). */
export class Outbox {
  readonly #writer: GatheredWriter;
  readonly #onSent: (stream: ServerStream) => void;
  /** Streams with something that the windows do not let through yet. */
  readonly #waiting = new Set<ServerStream>();
  #maxFrame = HTTP2_FRAME_BYTES;
  #window = HTTP2_WINDOW_BYTES;
  /** What streams start with. */
  #streamWindow = HTTP2_WINDOW_BYTES;
  #mustResizeTable = false;

  /** `onSent`: the stream's END_STREAM was written. */
  constructor(writer: GatheredWriter, onSent: (stream: ServerStream) => void) {
    this.#writer = writer;
    this.#onSent = onSent;
  }

  get streamWindow(): number {
    return this.#streamWindow;
  }

  headers(stream: ServerStream, given: Uint8Array, isEnd: boolean): void {
    const block = this.#mustResizeTable ? Buffer.concat([NO_TABLE, given]) : given;
    this.#mustResizeTable = false;
    const endStream = isEnd ? FrameFlag.endStream : 0;
    if (block.length <= this.#maxFrame) {
      this.#writer.push(encodeHttp2Frame(FrameType.headers, FrameFlag.endHeaders | endStream, stream.id, block));
    } else {
      for (let at = 0; at < block.length; at += this.#maxFrame) {
        const part = block.subarray(at, at + this.#maxFrame);
        const endHeaders = at + part.length === block.length ? FrameFlag.endHeaders : 0;
        const [type, flags] = at === 0 ? [FrameType.headers, endStream | endHeaders] : [FrameType.continuation, endHeaders];
        this.#writer.push(encodeHttp2Frame(type, flags, stream.id, part));
      }
    }
    if (isEnd) this.#finish(stream);
  }

  /** An answer that fits goes in one piece. */
  answer(stream: ServerStream, headers: Uint8Array, body: Uint8Array, trailers: Uint8Array): void {
    const { length } = body;
    const most = Math.min(JOINED_BYTES, this.#maxFrame);
    if (
      length > Math.min(most, stream.window, this.#window) ||
      headers.length > most ||
      trailers.length > most ||
      this.#mustResizeTable ||
      this.#isFull()
    ) {
      this.headers(stream, headers, false);
      stream.trailers = trailers;
      stream.unsent.push(body);
      this.send(stream);
      return;
    }
    const { id } = stream;
    const joined = Buffer.allocUnsafe(3 * HTTP2_HEAD_BYTES + headers.length + length + trailers.length);
    let at = put(joined, 0, FrameType.headers, FrameFlag.endHeaders, id, headers);
    at = put(joined, at, FrameType.data, 0, id, body);
    put(joined, at, FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, id, trailers);
    stream.window -= length;
    this.#window -= length;
    this.#writer.push(joined);
    this.#finish(stream);
  }

  send(stream: ServerStream): void {
    if (this.#waiting.has(stream)) return;
    this.#sendSome(stream, Infinity);
    if (!isDone(stream)) this.#waiting.add(stream);
  }

  forget(stream: ServerStream): void {
    this.#waiting.delete(stream);
  }

  /** A client with a smaller header table wants to hear that it is not used, although it never was (RFC 7541 section 4.2). */
  setTable(bytes: number): void {
    if (bytes < HTTP2_TABLE_BYTES) this.#mustResizeTable = true;
  }

  setMaxFrame(bytes: number): void {
    this.#maxFrame = Math.min(bytes, MOST_FRAME_BYTES);
  }

  /** SETTINGS change the windows of open streams, too; they may fall below zero. False for windows that cannot be. */
  setStreamWindow(bytes: number, open: Iterable<ServerStream>): boolean {
    for (const stream of open) {
      stream.window += bytes - this.#streamWindow;
      if (stream.window > HTTP2_MAX) return false;
    }
    this.#streamWindow = bytes;
    return true;
  }

  /** WINDOW_UPDATE of a stream, or of the connection. False for a window that cannot be. */
  grow(bytes: number, stream?: ServerStream): boolean {
    if (stream === undefined) {
      this.#window += bytes;
      if (this.#window > HTTP2_MAX) return false;
      this.resume();
      return true;
    }
    stream.window += bytes;
    if (stream.window > HTTP2_MAX) return false;
    if (this.#waiting.has(stream)) this.#proceed(stream);
    return true;
  }

  /** Streams that wait take turns, as long as one of them gets on. */
  resume(): void {
    for (let isMoving = true; isMoving && this.#waiting.size > 0 && this.#window > 0;) {
      isMoving = false;
      for (const stream of this.#waiting) {
        if (this.#isFull()) return;
        if (this.#proceed(stream)) isMoving = true;
      }
    }
  }

  #proceed(stream: ServerStream): boolean {
    const isMoving = this.#sendSome(stream, TURN_BYTES);
    if (!isDone(stream)) return isMoving;
    this.#waiting.delete(stream);
    if (!stream.isEnding) stream.listener.drained?.();
    return true;
  }

  /** Sends `most` bytes, about, as far as the windows let them through. */
  #sendSome(stream: ServerStream, most: number): boolean {
    const { unsent, id } = stream;
    let sent = 0;
    for (let first = unsent[0]; first !== undefined; first = unsent[0]) {
      const count = Math.min(first.length - stream.unsentAt, this.#maxFrame, stream.window, this.#window);
      if (count <= 0 || sent >= most || this.#isFull()) break;
      const end = stream.unsentAt + count;
      const isLast = end === first.length && unsent.length === 1 && stream.isEnding && stream.trailers === undefined;
      this.#writer.push(http2Head(count, FrameType.data, isLast ? FrameFlag.endStream : 0, id));
      this.#writer.push(first.subarray(stream.unsentAt, end));
      stream.unsentAt = end;
      if (end === first.length) {
        unsent.shift();
        stream.unsentAt = 0;
      }
      stream.window -= count;
      this.#window -= count;
      sent += count;
      if (isLast) this.#finish(stream);
    }
    stream.sent(sent);
    if (unsent.length === 0 && stream.isEnding && !stream.isSent) {
      if (stream.trailers !== undefined) this.headers(stream, stream.trailers, true);
      else {
        this.#writer.push(encodeHttp2Frame(FrameType.data, FrameFlag.endStream, id, NOTHING));
        this.#finish(stream);
      }
    }
    return sent > 0;
  }

  #finish(stream: ServerStream): void {
    stream.isSent = true;
    this.#onSent(stream);
  }

  #isFull(): boolean {
    return this.#writer.backlogBytes >= MOST_BACKLOG_BYTES;
  }
}

function isDone(stream: ServerStream): boolean {
  return stream.unsent.length === 0 && (stream.isSent || !stream.isEnding);
}

function put(target: Buffer, at: number, type: number, flags: number, stream: number, payload: Uint8Array): number {
  writeHttp2Head(target, at, payload.length, type, flags, stream);
  target.set(payload, at + HTTP2_HEAD_BYTES);
  return at + HTTP2_HEAD_BYTES + payload.length;
}
