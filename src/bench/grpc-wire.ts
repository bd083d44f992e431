import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { nameFailure, type Answer, type Lane, type Wire } from './connection.ts';

const PATH = '/inference.GRPCInferenceService/ModelInfer';
const PREFIX_BYTES = 5;
/** Large answers come without waiting for room: 64 MiB a stream and connection. */
const WINDOW_BYTES = 64 * 2 ** 20;

/** The message behind its gRPC prefix: no compression, length. */
export function encodeGrpcMessage(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Unary ModelInfer over `connections` HTTP/2 connections that the lanes share in turn. */
export function createGrpcWire(url: URL, connections: number, headers: Readonly<Record<string, string>>): Wire {
  const channels = Array.from({ length: connections }, () => new Channel(url, headers));
  let next = 0;
  return {
    openLane: (keepsBodies) => {
      const channel = channels[next++ % connections];
      if (channel === undefined) throw new RangeError('A wire needs a connection');
      return new GrpcLane(channel, keepsBodies);
    },
    close: () => {
      for (const channel of channels) channel.close();
    },
  };
}

/** One connection, opened again when it broke. */
class Channel {
  readonly #authority: string;
  readonly #headers: Readonly<Record<string, string>>;
  #session: ClientHttp2Session | undefined;
  #error: unknown;

  constructor(url: URL, headers: Readonly<Record<string, string>>) {
    const isTls = url.protocol === 'grpcs:' || url.protocol === 'https:';
    const port = url.port === '' ? (isTls ? '443' : '80') : url.port;
    this.#authority = `${isTls ? 'https' : 'http'}://${url.hostname}:${port}`;
    const { host, ...others } = headers;
    this.#headers = {
      ':method': 'POST',
      ':path': PATH,
      ...(host === undefined ? {} : { ':authority': host }),
      'content-type': 'application/grpc',
      te: 'trailers',
      ...others,
    };
  }

  request(): ClientHttp2Stream {
    this.#session ??= this.#open();
    return this.#session.request(this.#headers);
  }

  /** Why the connection broke, where that is known. */
  get error(): unknown {
    return this.#error;
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #open(): ClientHttp2Session {
    this.#error = undefined;
    const session = connect(this.#authority, { settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } });
    const leave = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    session.on('connect', () => {
      session.setLocalWindowSize(WINDOW_BYTES);
    });
    session.on('error', (error) => {
      this.#error = error;
      leave();
    });
    session.on('goaway', leave);
    session.on('close', leave);
    return session;
  }
}

class GrpcLane implements Lane {
  readonly #channel: Channel;
  readonly #keepsBodies: boolean;
  #stream: ClientHttp2Stream | undefined;
  #done: ((answer: Answer) => void) | undefined;

  constructor(channel: Channel, keepsBodies: boolean) {
    this.#channel = channel;
    this.#keepsBodies = keepsBodies;
  }

  send(message: Buffer, done: (answer: Answer) => void): void {
    this.#done = done;
    let stream: ClientHttp2Stream;
    try {
      stream = this.#channel.request();
    } catch (error) {
      setImmediate(() => {
        this.#settle({ failure: nameFailure(error), bytes: 0 });
      });
      return;
    }
    this.#stream = stream;
    let bytes = 0;
    let status: string | undefined;
    let failure: string | undefined;
    const kept: Buffer[] = [];
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) failure = `HTTP ${String(headers[':status'])}`;
      // An answer of trailers alone.
      status = headers['grpc-status'] as string | undefined;
    });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (this.#keepsBodies) kept.push(chunk);
    });
    let complaint: unknown;
    stream.on('trailers', (trailers: IncomingHttpHeaders) => {
      status = (trailers['grpc-status'] as string | undefined) ?? status;
      complaint = trailers['grpc-message'];
    });
    stream.on('error', (error) => {
      failure ??= nameFailure(this.#channel.error ?? error);
    });
    const finish = (): void => {
      if (this.#stream !== stream) return;
      failure ??= status === undefined ? 'connection lost' : status === '0' ? undefined : `gRPC ${status}`;
      const body = failure === undefined ? Buffer.concat(kept).subarray(PREFIX_BYTES) : readComplaint(complaint);
      this.#settle({ failure, bytes: Math.max(0, bytes - PREFIX_BYTES), body: this.#keepsBodies || failure !== undefined ? body : undefined });
    };
    stream.on('end', () => {
      if (status === '0') finish();
    });
    stream.on('close', finish);
    stream.end(message);
  }

  abort(failure: string): void {
    const stream = this.#stream;
    stream?.close(constants.NGHTTP2_CANCEL);
    this.#settle({ failure, bytes: 0 });
  }

  close(): void {
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#stream = undefined;
  }

  #settle(answer: Answer): void {
    const done = this.#done;
    this.#done = undefined;
    this.#stream = undefined;
    done?.(answer);
  }
}

/** `grpc-message` is percent-encoded UTF-8. */
function readComplaint(message: unknown): Buffer | undefined {
  if (typeof message !== 'string') return undefined;
  try {
    return Buffer.from(decodeURIComponent(message));
  } catch {
    return Buffer.from(message);
  }
}
