import type { Socket } from 'node:net';
import {
  encodeHttp2Frame,
  encodeHttp2Numbers,
  ErrorCode,
  FrameFlag,
  FrameType,
  HeaderTable,
  Http2Error,
  HTTP2_MAX,
  HTTP2_TABLE_BYTES,
  Http2HeaderBlocks,
  readUint32,
  unpadded,
} from '../../codec/index.ts';
import type { Logger } from '../../core/context.ts';
import { isServingError } from '../../core/errors.ts';
import type { GatheredWriter } from '../../core/gathered-writer.ts';
import { Departures } from './departures.ts';
import { checkFrame } from './frame-rules.ts';
import { Outbox } from './outbox.ts';
import { ReceiveWindow } from './receive-window.ts';
import { RequestHeads, type RequestHeaders } from './request-head.ts';
import { applySettings, greeting } from './settings.ts';
import { ServerStream, type StreamOwner } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { Wire } from './wire.ts';

/** Takes a stream over: sets its listener, reads it, answers it. */
export type StreamHandler = (stream: ServerStream, headers: RequestHeaders, connection: Http2Connection) => void;

/** What its connection knows of a stream whose answer is not out yet. */
export interface OpenCall {
  /** Where it stands among the connection's calls; the connection's to set. */
  slot: number;
  /** Called about once a second: gives up what has stopped moving. */
  watch(now: number): void;
}

export interface ConnectionDependencies {
  /** Largest head of a request, as HTTP/2 counts it; streams with larger ones are reset. */
  readonly maxHeaderBytes: number;
  readonly handle: StreamHandler;
  readonly log: Logger;
  /** The socket is closed, and every stream. */
  readonly gone: (connection: Http2Connection) => void;
}

/** Header blocks as they travel: beyond it the connection ends, since whoever reads its blocks must read all of them. */
const MOST_BLOCK_BYTES = 65_536;

const PING = Buffer.alloc(8);
const NOTHING = Buffer.alloc(0);

/** A client's HTTP/2 connection (RFC 9113), and the calls under way on it. Owns the socket from now on. */
export class Http2Connection implements StreamOwner {
  readonly openedAt = performance.now();
  /** Memory of messages that are still arriving, and of answers that the client has not taken yet. */
  heldBytes = 0;
  /** The client has said what it can do: it speaks HTTP/2. */
  isGreeted = false;
  /** When the unanswered ping was sent; 0 without one. */
  pingedAt = 0;
  readonly calls: OpenCall[] = [];
  readonly #deps: ConnectionDependencies;
  readonly #wire: Wire;
  readonly #writer: GatheredWriter;
  readonly #outbox: Outbox;
  readonly #window: ReceiveWindow;
  readonly #blocks: Http2HeaderBlocks;
  readonly #heads: RequestHeads;
  readonly #streams = new StreamTable();
  readonly #departures = new Departures();
  #state: 'open' | 'leaving' | 'closed' = 'open';

  constructor(socket: Socket, deps: ConnectionDependencies) {
    this.#deps = deps;
    this.#wire = new Wire(socket, {
      frame: this.#take.bind(this),
      failed: this.#fail.bind(this),
      written: this.#departures.written.bind(this.#departures),
      taken: this.#taken.bind(this),
      gone: () => {
        this.#closed();
        deps.gone(this);
      },
    });
    this.#writer = this.#wire.writer;
    this.#window = new ReceiveWindow(this.#writer);
    this.#outbox = new Outbox(this.#writer, this.#onSent.bind(this));
    this.#heads = new RequestHeads(new HeaderTable(HTTP2_TABLE_BYTES), deps.maxHeaderBytes);
    this.#blocks = new Http2HeaderBlocks(Math.max(MOST_BLOCK_BYTES, deps.maxHeaderBytes), this.#takeHead.bind(this));
    this.#writer.push(greeting(deps.maxHeaderBytes));
  }

  /** When the client sent something last. */
  get heardAt(): number {
    return this.#wire.heardAt;
  }

  get isLeaving(): boolean {
    return this.#state !== 'open';
  }

  began(call: OpenCall): void {
    call.slot = this.calls.length;
    this.calls.push(call);
  }

  /** The last takes the place of the one that has gone: searching costs more with many. */
  ended(call: OpenCall): void {
    const last = this.calls.pop();
    if (last === undefined || last === call) return;
    last.slot = call.slot;
    this.calls[call.slot] = last;
  }

  ping(): void {
    this.#writer.push(encodeHttp2Frame(FrameType.ping, 0, 0, PING));
  }

  /** GOAWAY that only announces the end: streams on their way are still taken (RFC 9113 section 6.8). */
  announceEnd(): void {
    if (this.#state !== 'open') return;
    this.#state = 'leaving';
    this.#goAway(HTTP2_MAX, ErrorCode.noError);
  }

  /** GOAWAY: what is under way is answered, no more is taken. */
  close(): void {
    if (this.#state === 'closed' || this.#streams.lastId < HTTP2_MAX) return;
    this.#state = 'leaving';
    this.#streams.lastId = this.#streams.newestId;
    this.#goAway(this.#streams.lastId, ErrorCode.noError);
    this.#endWhenDone();
  }

  /** Ends all at once, and says so. */
  cut(): void {
    if (this.#state === 'closed') return;
    for (const stream of this.#streams.values()) this.#refuse(stream.id, ErrorCode.cancel);
    this.#goAway(this.#streams.newestId, ErrorCode.noError);
    this.#end();
  }

  /** The client is gone. */
  destroy(): void {
    this.#wire.destroy();
    this.#closed();
  }

  sendHeaders(stream: ServerStream, block: Uint8Array, isEnd: boolean): void {
    this.#outbox.headers(stream, block, isEnd);
  }

  send(stream: ServerStream): void {
    this.#outbox.send(stream);
  }

  answer(stream: ServerStream, headers: Uint8Array, body: Uint8Array, trailers: Uint8Array): void {
    this.#outbox.answer(stream, headers, body, trailers);
  }

  reset(stream: ServerStream, code: number): void {
    this.#forget(stream);
    this.#refuse(stream.id, code);
    stream.close(false);
    this.#endWhenDone();
  }

  consumed(stream: ServerStream, bytes: number): void {
    this.#window.consumeOf(stream, bytes);
  }

  /** Throws on what ends the connection. */
  #take(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#state === 'closed') return;
    if (!this.isGreeted && type !== FrameType.settings) throw new Http2Error('the first frame is not SETTINGS');
    if (this.#blocks.isOpen && type !== FrameType.continuation) throw new Http2Error('a header block is not finished');
    checkFrame(type, flags, id, payload);
    switch (type) {
      case FrameType.data:
        this.#takeData(flags, id, payload);
        return;
      case FrameType.headers:
        this.#blocks.takeHeaders(flags, id, payload);
        this.#wire.isKept ||= this.#blocks.isOpen;
        return;
      case FrameType.continuation:
        this.#blocks.takeContinuation(flags, id, payload);
        this.#wire.isKept ||= this.#blocks.isOpen;
        return;
      case FrameType.resetStream:
        this.#takeReset(id);
        return;
      case FrameType.settings:
        if ((flags & FrameFlag.ack) === 0) this.#takeSettings(payload);
        return;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) === 0) this.#writer.push(encodeHttp2Frame(FrameType.ping, FrameFlag.ack, 0, payload));
        else this.pingedAt = 0;
        this.#wire.holdBack();
        return;
      case FrameType.windowUpdate:
        this.#takeWindow(id, readUint32(payload, 0) & HTTP2_MAX);
        return;
      case FrameType.goAway:
        // The client opens no more; what it has opened is answered.
        this.close();
        return;
      default:
      // PRIORITY, which has no meaning any more, and what later versions may bring.
    }
  }

  #takeHead(id: number, block: Buffer, isEnd: boolean): void {
    const open = this.#streams.get(id);
    if (open !== undefined || id <= this.#streams.newestId) {
      this.#takeTrailers(id, open, block, isEnd);
      return;
    }
    this.#streams.newestId = id;
    const head = this.#heads.read(block);
    if (!this.#streams.hasRoomFor(id)) this.#refuseCounted(id, ErrorCode.refusedStream);
    else if (head === 'too large') this.#refuseCounted(id, ErrorCode.enhanceYourCalm);
    else if (head === 'malformed') this.#refuseCounted(id, ErrorCode.protocolError);
    else this.#open(id, head, isEnd);
  }

  #open(id: number, head: RequestHeaders, isEnd: boolean): void {
    const stream = new ServerStream(id, this);
    stream.window = this.#outbox.streamWindow;
    stream.isReceived = isEnd;
    const length = head['content-length'];
    if (length !== undefined) stream.expected = Number(length);
    if (!stream.expects(0, isEnd)) {
      this.#refuseCounted(id, ErrorCode.protocolError);
      return;
    }
    this.#streams.add(stream);
    this.#deps.handle(stream, head, this);
    if (isEnd && !stream.isClosed) this.#give(stream, NOTHING, true);
  }

  #takeTrailers(id: number, stream: ServerStream | undefined, block: Buffer, isEnd: boolean): void {
    const isFine = this.#heads.readTrailers(block) === 'fine' && isEnd;
    if (stream === undefined) this.#streams.checkLate(id);
    else if (stream.isReceived) this.#breakOff(stream, ErrorCode.streamClosed);
    else if (!isFine || !stream.expects(0, true)) this.#breakOff(stream, ErrorCode.protocolError);
    else this.#give(stream, NOTHING, true);
  }

  #takeData(flags: number, id: number, payload: Buffer): void {
    this.#window.take(payload.length);
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.isReceived) {
      this.#window.consume(payload.length);
      if (stream !== undefined) this.#breakOff(stream, ErrorCode.streamClosed);
      else this.#streams.checkLate(id);
      return;
    }
    const isAllowed = this.#window.takeOf(stream, payload.length);
    const bytes = unpadded(flags, payload, 0);
    if (bytes.length < payload.length) this.#window.consumeOf(stream, payload.length - bytes.length);
    const isEnd = (flags & FrameFlag.endStream) !== 0;
    if (isAllowed && stream.expects(bytes.length, isEnd)) {
      this.#give(stream, bytes, isEnd);
      return;
    }
    this.#window.consume(bytes.length);
    this.#breakOff(stream, isAllowed ? ErrorCode.protocolError : ErrorCode.flowControlError);
  }

  #give(stream: ServerStream, bytes: Buffer, isEnd: boolean): void {
    if (!stream.take(bytes, isEnd)) this.#wire.isKept = true;
  }

  #takeReset(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#streams.checkKnown(id);
      return;
    }
    this.#streams.countReset(performance.now());
    this.#streams.remember(id);
    this.#forget(stream);
    stream.close(false);
    this.#endWhenDone();
  }

  #takeSettings(payload: Buffer): void {
    applySettings(payload, this.#outbox, this.#streams.values());
    this.isGreeted = true;
    this.#writer.push(encodeHttp2Frame(FrameType.settings, FrameFlag.ack, 0, NOTHING));
    this.#outbox.resume();
    this.#wire.holdBack();
  }

  #takeWindow(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    this.#streams.checkKnown(id);
    // One for a stream that has ended comes late.
    if (id > 0 && stream === undefined) return;
    if (bytes > 0 && this.#outbox.grow(bytes, stream)) return;
    const code = bytes === 0 ? ErrorCode.protocolError : ErrorCode.flowControlError;
    if (stream === undefined) throw new Http2Error(`the window cannot grow by ${bytes}`, code);
    this.#breakOff(stream, code);
  }

  /** The client's fault. */
  #breakOff(stream: ServerStream, code: number): void {
    this.#streams.countReset(performance.now());
    this.reset(stream, code);
  }

  #refuseCounted(id: number, code: number): void {
    this.#streams.countReset(performance.now());
    this.#refuse(id, code);
  }

  #refuse(id: number, code: number): void {
    this.#streams.remember(id);
    this.#writer.push(encodeHttp2Numbers(FrameType.resetStream, id, code));
    this.#wire.holdBack();
  }

  #forget(stream: ServerStream): void {
    this.#streams.delete(stream);
    this.#outbox.forget(stream);
  }

  /** Who is answered in full needs to send no more of its request (RFC 9113 section 8.1). */
  #onSent(stream: ServerStream): void {
    if (!stream.isReceived) this.#refuse(stream.id, ErrorCode.noError);
    this.#forget(stream);
    this.#departures.add(stream);
    this.#wire.holdBack();
  }

  #taken(): void {
    this.#departures.taken();
    if (this.#state === 'closed') return;
    this.#outbox.resume();
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if (this.#state === 'leaving' && this.#streams.lastId < HTTP2_MAX && this.#streams.size === 0 && this.#departures.count === 0) this.#end();
  }

  #fail(thrown: unknown): void {
    if (this.#state === 'closed') return;
    const code = codeOf(thrown);
    this.#deps.log[code === ErrorCode.internalError ? 'error' : 'debug']({ err: thrown }, 'HTTP/2 connection failed');
    this.#goAway(this.#streams.newestId, code);
    this.#end();
  }

  /** At once: every call that the client sends meanwhile may have to be sent again. */
  #goAway(lastId: number, code: number): void {
    this.#writer.push(encodeHttp2Numbers(FrameType.goAway, 0, lastId, code));
    this.#writer.flush();
  }

  #end(): void {
    this.#wire.end();
    this.#closed();
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#departures.drop();
    for (const stream of this.#streams.values()) {
      this.#forget(stream);
      stream.close(false);
    }
  }
}

function codeOf(thrown: unknown): number {
  if (thrown instanceof Http2Error) return thrown.code;
  if (!isServingError(thrown)) return ErrorCode.internalError;
  return thrown.reason === 'payload_too_large' ? ErrorCode.frameSizeError : ErrorCode.compressionError;
}
