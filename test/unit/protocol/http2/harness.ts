import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import {
  encodeHttp2Frame,
  encodeHttp2Settings,
  FrameFlag,
  FrameType,
  headerBytes,
  HTTP2_PREFACE,
  Http2FrameReader,
  readUint32,
  writeHeader,
} from '../../../../src/codec/index.ts';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { Http2Connection, type StreamHandler } from '../../../../src/protocol/http2/connection.ts';
import { encodeHeaders } from '../../../../src/protocol/http2/header-block.ts';
import type { RequestHeaders } from '../../../../src/protocol/http2/request-head.ts';
import { ServerStream, type StreamOwner } from '../../../../src/protocol/http2/stream.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The server's end of a connection whose other end is the test. What is written waits in the kernel while `isStuck`. */
export class FakeSocket extends Duplex {
  readonly #reader = new Http2FrameReader(2 ** 24);
  readonly frames: Frame[] = [];
  isStuck = false;
  #stuck: (() => void)[] = [];

  constructor() {
    super({ autoDestroy: false, emitClose: true });
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#reader.push(Buffer.from(chunk), (type, flags, stream, payload) => {
      this.frames.push({ type, flags, stream, payload: Buffer.from(payload) });
    });
    if (this.isStuck) this.#stuck.push(callback);
    else callback();
  }

  unstick(): void {
    this.isStuck = false;
    for (const callback of this.#stuck.splice(0)) callback();
  }

  setNoDelay(): this {
    return this;
  }
}

/** A connection and the client that the test plays. */
export class Client {
  readonly socket = new FakeSocket();
  readonly connection: Http2Connection;
  isGone = false;

  constructor(handle: StreamHandler, maxHeaderBytes = 16_384) {
    this.connection = new Http2Connection(this.socket as unknown as Socket, {
      maxHeaderBytes,
      handle,
      log: SILENT_LOGGER,
      gone: () => (this.isGone = true),
    });
  }

  /** Preface and SETTINGS. */
  async greet(settings: readonly (readonly [number, number])[] = []): Promise<this> {
    await this.send(Buffer.from(HTTP2_PREFACE, 'latin1'), encodeHttp2Settings(settings));
    return this;
  }

  /** All of it as one chunk of its own memory; resolves when the server has done and written what it would. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const size = parts.reduce((sum, { length }) => sum + length, 0);
    const chunk = Buffer.from(new ArrayBuffer(size));
    let at = 0;
    for (const part of parts) {
      chunk.set(part, at);
      at += part.length;
    }
    if (!this.socket.readableEnded && !this.socket.destroyed) this.socket.push(chunk);
    await settled();
  }

  of(type: number): Frame[] {
    return this.socket.frames.filter((one) => one.type === type);
  }

  /** The code of GOAWAY; undefined as long as there is none. */
  get goneWith(): number | undefined {
    const frame = this.of(FrameType.goAway).at(-1);
    return frame === undefined ? undefined : readUint32(frame.payload, 4);
  }

  /** Streams and the codes they were reset with. */
  get resets(): (readonly [stream: number, code: number])[] {
    return this.of(FrameType.resetStream).map(({ stream, payload }) => [stream, readUint32(payload, 0)] as const);
  }
}

export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export const REQUEST: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/'],
];

export function block(headers: readonly (readonly [string, string])[]): Buffer {
  const bytes = Buffer.alloc(headers.reduce((sum, [name, value]) => sum + headerBytes(name, value), 0));
  let at = 0;
  for (const [name, value] of headers) at = writeHeader(bytes, at, name, value);
  return bytes.subarray(0, at);
}

export function headers(stream: number, list = REQUEST, flags: number = FrameFlag.endHeaders): Buffer {
  return encodeHttp2Frame(FrameType.headers, flags, stream, block(list));
}

export function data(stream: number, bytes: Uint8Array | string, isEnd = false): Buffer {
  return encodeHttp2Frame(FrameType.data, isEnd ? FrameFlag.endStream : 0, stream, Buffer.from(bytes));
}

/** A connection that does nothing. */
export function idleConnection(): Http2Connection {
  return new Client(() => undefined).connection;
}

/** A stream whose answers go nowhere. */
export function loneStream(owner: Partial<StreamOwner> = {}): ServerStream {
  const ignore = (): void => undefined;
  return new ServerStream(1, { sendHeaders: ignore, send: ignore, answer: ignore, reset: ignore, consumed: ignore, ...owner });
}

export const OK = encodeHeaders({ ':status': 200 });
export const TRAILERS = encodeHeaders({ 'grpc-status': 0 });
export const FRAME_BYTES = 16_384;

export interface Request {
  readonly stream: ServerStream;
  readonly headers: RequestHeaders;
  body: string;
  hasEnded: boolean;
  /** Undefined as long as it is open. */
  isWhole?: boolean;
}

/** Keeps what comes. */
export function recording(requests: Request[], isCopied = true): StreamHandler {
  return (stream, head) => {
    const request: Request = { stream, headers: head, body: '', hasEnded: false };
    requests.push(request);
    stream.listener = {
      data: (bytes) => {
        request.body += bytes.toString('latin1');
        return isCopied;
      },
      ended: () => (request.hasEnded = true),
      closed: (isWhole) => {
        if (request.isWhole !== undefined) throw new Error('closed twice');
        request.isWhole = isWhole;
      },
    };
  };
}

export async function start(settings: readonly (readonly [number, number])[] = []): Promise<{ client: Client; requests: Request[] }> {
  const requests: Request[] = [];
  return { client: await new Client(recording(requests)).greet(settings), requests };
}

export const END = FrameFlag.endHeaders | FrameFlag.endStream;
