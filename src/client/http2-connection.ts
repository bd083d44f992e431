import type { Socket } from 'node:net';
import {
  encodeHttp2Frame,
  encodeHttp2Numbers,
  encodeHttp2Settings,
  ErrorCode,
  FrameFlag,
  FrameType,
  HTTP2_HEAD_BYTES,
  http2Head,
  HTTP2_MAX,
  HTTP2_PREFACE,
  HTTP2_WINDOW_BYTES,
  Http2FrameReader,
  Http2HeaderBlocks,
  readUint32,
  Setting,
  unpadded,
} from '../codec/index.ts';
import { connectionError } from './connection-error.ts';
import { Http2Outbox, type OutgoingMessage } from './http2-outbox.ts';
import { Http2Liveness, type LivenessTiming } from './http2-liveness.ts';
import { InferenceError, messageOf } from './inference-error.ts';
import { KnownBlocks } from './known-blocks.ts';
import { GatheredWriter } from '../core/gathered-writer.ts';

/** What hears of a stream. After `isEnd`, `reset` or `lost` it hears nothing more. */
export interface StreamListener {
  /** Names and values in turn, the same array for blocks of the same bytes. Twice a call, mostly: before the message and behind it. */
  headers(headers: readonly string[], isEnd: boolean): void;
  /** A view of the socket's memory that stays as it is. */
  data(bytes: Buffer, isEnd: boolean): void;
  /** RST_STREAM. */
  reset(code: number): void;
  /** The connection is gone, or will not do it. `isUntouched`: the server has not seen the request and never will. */
  lost(error: InferenceError, isUntouched: boolean): void;
}

/** A request on its way. Only its connection writes it. */
export interface OutgoingStream extends OutgoingMessage {
  readonly listener: StreamListener;
  /** Bytes received since the last WINDOW_UPDATE. */
  received: number;
}

export interface ConnectionHandlers {
  /** The server takes calls, or some again. */
  ready(): void;
  /** It takes no further calls; those it has go on. Comes once, with the reason; before `ready` when nobody speaks HTTP/2 there. */
  away(error: InferenceError): void;
  /** All has ended. */
  gone(): void;
}

export interface ConnectionTiming extends LivenessTiming {
  /** Milliseconds from the start to the server's first word. */
  readonly connectMs: number;
}

/** What the server may send unasked: messages are taken as they come, and have a limit of their own. */
const STREAM_WINDOW = 2 ** 24;
const CONNECTION_WINDOW = 2 ** 30;
/** Calls on one connection, also where the server names no limit. */
const MOST_STREAMS = 1000;
/** Of one header block. */
const MOST_HEADER_BYTES = 65_536;
/** Answers to PING and SETTINGS that the server does not take. */
const MOST_UNTAKEN = 10_000;

/** One HTTP/2 connection as a client of unary calls has it (RFC 9113). Owns the socket from now on. */
export class Http2Connection {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #handlers: ConnectionHandlers;
  readonly #writer: GatheredWriter;
  readonly #liveness: Http2Liveness;
  readonly #headers: Http2HeaderBlocks;
  readonly #outbox: Http2Outbox;
  readonly #streams = new Map<number, OutgoingStream>();
  readonly #connectTimer: NodeJS.Timeout;
  #state: 'connecting' | 'open' | 'away' | 'closed' = 'connecting';
  #nextId = 1;
  #maxStreams = MOST_STREAMS;
  /** Bytes received since the last WINDOW_UPDATE. */
  #received = 0;
  #untaken = 0;

  /** `socket` is connecting or connected, with TLS where it is wanted; `host` is for messages. */
  constructor(socket: Socket, host: string, handlers: ConnectionHandlers, timing: ConnectionTiming) {
    this.#socket = socket;
    this.#host = host;
    this.#handlers = handlers;
    this.#writer = new GatheredWriter(socket);
    this.#outbox = new Http2Outbox(this.#writer);
    const known = new KnownBlocks();
    this.#headers = new Http2HeaderBlocks(MOST_HEADER_BYTES, (id, block, isEnd) => {
      this.#takeHeaders(id, known.decode(block), isEnd);
    });
    this.#liveness = new Http2Liveness(
      timing,
      () => this.#streams.size > 0,
      () => {
        this.#writer.push(encodeHttp2Frame(FrameType.ping, 0, 0, PING));
      },
      (silentMs) => {
        this.#fail(`no sign of life for ${silentMs} ms`, true);
      },
    );
    this.#connectTimer = setTimeout(() => {
      this.#fail(`no HTTP/2 within ${timing.connectMs} ms`, true);
    }, timing.connectMs);
    this.#listen(socket);
    this.#writer.push(Buffer.from(HTTP2_PREFACE, 'latin1'));
    this.#writer.push(
      encodeHttp2Settings([
        [Setting.headerTableSize, 0],
        [Setting.enablePush, 0],
        [Setting.initialWindowSize, STREAM_WINDOW],
      ]),
    );
    this.#writer.push(encodeHttp2Numbers(FrameType.windowUpdate, 0, CONNECTION_WINDOW - HTTP2_WINDOW_BYTES));
  }

  /** Calls that it takes now; 0 or less for none. */
  get room(): number {
    return this.#state === 'open' ? this.#maxStreams - this.#streams.size : 0;
  }

  /**
   * Starts a request; there must be room. `block` is its header block and `body` what follows, each behind HTTP2_HEAD_BYTES of free space; both belong to the
   * connection from now on.
   */
  open(block: Buffer, body: Buffer, listener: StreamListener): OutgoingStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = { id, listener, body, bodyAt: HTTP2_HEAD_BYTES, window: this.#outbox.streamWindow, received: 0 };
    if (this.#streams.size === 0) {
      this.#socket.ref();
      this.#liveness.heard();
    }
    this.#streams.set(id, stream);
    this.#outbox.send(block, stream);
    if (this.#nextId > HTTP2_MAX) this.#leave(this.#unreached('its stream numbers are used up', true));
    return stream;
  }

  /** Nobody waits for the answer any more. Does nothing once it has ended. */
  cancel(stream: OutgoingStream): void {
    if (this.#streams.get(stream.id) !== stream) return;
    this.#writer.push(encodeHttp2Numbers(FrameType.resetStream, stream.id, ErrorCode.cancel));
    this.#forget(stream);
  }

  /** Ends all at once. */
  close(error: InferenceError): void {
    if (this.#state === 'closed') return;
    this.#writer.push(encodeHttp2Numbers(FrameType.goAway, 0, 0, ErrorCode.noError));
    this.#writer.flush();
    this.#end(error);
  }

  #listen(socket: Socket): void {
    const reader = new Http2FrameReader();
    const take = this.#take.bind(this);
    socket.on('data', (chunk: Buffer) => {
      this.#liveness.heard();
      try {
        reader.push(chunk, take);
      } catch (thrown) {
        const isSpoken = this.#state !== 'connecting';
        this.#fail(isSpoken ? messageOf(thrown) : notHttp2(chunk), false);
      }
    });
    socket.on('error', (error) => {
      this.#end(connectionError(error, this.#host));
    });
    socket.on('close', () => {
      this.#fail('the connection was closed', true);
    });
  }

  /** Throws on what ends the connection. */
  #take(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'connecting' && type !== FrameType.settings) throw new Error('the first frame is not SETTINGS');
    if (this.#headers.isOpen && type !== FrameType.continuation) throw new Error('a header block is not finished');
    switch (type) {
      case FrameType.data:
        this.#takeData(flags, id, payload);
        return;
      case FrameType.headers:
        this.#headers.takeHeaders(flags, id, payload);
        return;
      case FrameType.continuation:
        this.#headers.takeContinuation(flags, id, payload);
        return;
      case FrameType.resetStream:
        this.#takeReset(id, readUint32(payload, 0));
        return;
      case FrameType.settings:
        if ((flags & FrameFlag.ack) === 0) this.#takeSettings(payload);
        return;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) === 0) this.#control(encodeHttp2Frame(FrameType.ping, FrameFlag.ack, 0, payload.subarray(0, PING.length)));
        return;
      case FrameType.goAway:
        this.#takeGoAway(payload);
        return;
      case FrameType.windowUpdate: {
        const stream = this.#streams.get(id);
        // One for a stream that has ended comes late.
        if (id === 0 || stream !== undefined) this.#outbox.grow(readUint32(payload, 0) & HTTP2_MAX, stream);
        return;
      }
      case FrameType.pushPromise:
        throw new Error('the server pushes, which it was told not to');
      default:
      // PRIORITY, and what later versions may bring.
    }
  }

  #takeData(flags: number, id: number, payload: Buffer): void {
    this.#received += payload.length;
    if (this.#received >= CONNECTION_WINDOW / 2) {
      this.#control(encodeHttp2Numbers(FrameType.windowUpdate, 0, this.#received));
      this.#received = 0;
    }
    const stream = this.#streams.get(id);
    // It was cancelled, and the server has not heard of it yet.
    if (stream === undefined) return;
    const isEnd = (flags & FrameFlag.endStream) !== 0;
    stream.received += payload.length;
    if (!isEnd && stream.received >= STREAM_WINDOW / 2) {
      this.#control(encodeHttp2Numbers(FrameType.windowUpdate, id, stream.received));
      stream.received = 0;
    }
    const bytes = unpadded(flags, payload, 0);
    if (isEnd) this.#finish(stream);
    stream.listener.data(bytes, isEnd);
  }

  #takeHeaders(id: number, headers: readonly string[], isEnd: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (isEnd) this.#finish(stream);
    stream.listener.headers(headers, isEnd);
  }

  #takeReset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#forget(stream);
    stream.listener.reset(code);
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) this.#set(((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0), readUint32(payload, at + 2));
    this.#control(http2Head(0, FrameType.settings, FrameFlag.ack, 0));
    if (this.#state === 'connecting') {
      this.#state = 'open';
      clearTimeout(this.#connectTimer);
      // Nothing of this keeps a program alive that has no calls under way.
      this.#socket.unref();
    }
    this.#outbox.resume();
    if (this.room > 0) this.#handlers.ready();
  }

  #set(id: number, value: number): void {
    if (id === Setting.maxConcurrentStreams) this.#maxStreams = Math.min(value, MOST_STREAMS);
    else if (id === Setting.maxFrameSize) this.#outbox.setMaxFrame(value);
    else if (id === Setting.initialWindowSize) this.#outbox.setStreamWindow(value, this.#streams.values());
  }

  /** What the server has not begun may go elsewhere; the rest is still answered here. */
  #takeGoAway(payload: Buffer): void {
    const last = readUint32(payload, 0) & HTTP2_MAX;
    const words = printable(payload.toString('latin1', 8, 200));
    const error = this.#unreached(`the server closes the connection (GOAWAY ${readUint32(payload, 4)}${words === '' ? '' : `: ${words}`})`, true);
    const untouched = [...this.#streams.values()].filter(({ id }) => id > last);
    for (const stream of untouched) {
      this.#streams.delete(stream.id);
      this.#outbox.forget(stream);
    }
    this.#leave(error);
    for (const { listener } of untouched) listener.lost(error, true);
  }

  /** The server has answered in full; one that did so before it had the whole message needs no more of it. */
  #finish(stream: OutgoingStream): void {
    if (this.#outbox.has(stream)) this.#writer.push(encodeHttp2Numbers(FrameType.resetStream, stream.id, ErrorCode.noError));
    this.#forget(stream);
  }

  #forget(stream: OutgoingStream): void {
    const wasFull = this.room <= 0;
    this.#streams.delete(stream.id);
    this.#outbox.forget(stream);
    if (this.#streams.size === 0) {
      this.#socket.unref();
      if (this.#state === 'away') {
        this.#writer.flush();
        this.#fail('the connection is closed', true);
      }
    }
    if (wasFull && this.room > 0) this.#handlers.ready();
  }

  /** Sends what the server has asked for; one that asks on and reads nothing is cut off. */
  #control(bytes: Buffer): void {
    if (this.#writer.backlogBytes === 0) this.#untaken = 0;
    if (++this.#untaken > MOST_UNTAKEN) throw new Error('the server does not read what it asks for');
    this.#writer.push(bytes);
  }

  #unreached(what: string, retryable: boolean): InferenceError {
    return new InferenceError('unavailable', `Cannot reach ${this.#host}: ${what}`, { retryable });
  }

  #fail(what: string, retryable: boolean): void {
    if (this.#state !== 'closed') this.#end(this.#unreached(what, retryable));
  }

  #leave(error: InferenceError): void {
    if (this.#state !== 'open') return;
    this.#state = 'away';
    this.#handlers.away(error);
    if (this.#streams.size === 0) this.#end(error);
  }

  /** What is under way fails: how far the server came with it, nobody knows. */
  #end(error: InferenceError): void {
    if (this.#state === 'closed') return;
    const wasAway = this.#state === 'away';
    this.#state = 'closed';
    clearTimeout(this.#connectTimer);
    this.#liveness.stop();
    this.#socket.destroy();
    const lost = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of lost) this.#outbox.forget(stream);
    if (!wasAway) this.#handlers.away(error);
    this.#handlers.gone();
    for (const { listener } of lost) listener.lost(error, false);
  }
}

const PING = Buffer.alloc(8);

function notHttp2(chunk: Buffer): string {
  return `expected HTTP/2, got "${printable(chunk.toString('latin1', 0, 30))}"`;
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '.');
}
