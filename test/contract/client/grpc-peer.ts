import { once } from 'node:events';
import {
  createSecureServer,
  createServer as createHttp2Server,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { connect, tensor, type ConnectOptions, type InferenceClient, type InferenceError } from '../../../src/client/index.ts';
import { encodeHttp2Settings, FRAME_HEADER_BYTES, writeFrameHeader } from '../../../src/codec/index.ts';
import { encodeModelInferResponse } from '../../support/proto-messages.ts';

/** The smallest request. */
export const ONE = { inputs: [tensor('x', 'FP32', [1], [1])] };

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Runs when the test is over, in reverse order. */
export function closeLater(close: () => unknown): void {
  closing.push(close);
}

/** A client that tries once, closed when the test is over. */
export function open(host: string, options: ConnectOptions = {}): InferenceClient {
  const client = connect(`grpc://${host}`, { retries: 0, timeoutMs: 20_000, ...options });
  closeLater(() => {
    client.close();
  });
  return client;
}

/** `startPeer` until the test is over. */
export async function peer(...args: Parameters<typeof startPeer>): Promise<Peer> {
  const started = await startPeer(...args);
  closeLater(() => started.close());
  return started;
}

/** `startSocketPeer` until the test is over, by its `host:port`. */
export async function socketPeer(talk: (socket: Socket) => void): Promise<string> {
  const started = await startSocketPeer(talk);
  closeLater(() => started.close());
  return started.host;
}

export function failureOf(call: Promise<unknown>): Promise<InferenceError> {
  return call.then(
    () => {
      throw new Error('expected a failure');
    },
    (thrown: unknown) => thrown as InferenceError,
  );
}

export interface Peer {
  /** `host:port`. */
  readonly host: string;
  readonly sessions: Set<Http2Session>;
  /** Connections opened so far. */
  connections(): number;
  /** New connections are refused from now on. */
  stopListening(): void;
  close(): Promise<void>;
}

export interface PeerOptions {
  readonly settings?: Settings;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly onSession?: (session: ServerHttp2Session) => void;
}

/** A foreign HTTP/2 server, Node's own, that does what a test wants with each call once its message has come. */
export async function startPeer(answer: (stream: ServerHttp2Stream, message: Buffer) => void, options: PeerOptions = {}): Promise<Peer> {
  const { settings = {}, tls, onSession } = options;
  const server = tls === undefined ? createHttp2Server({ settings }) : createSecureServer({ settings, ...tls });
  const sessions = new Set<ServerHttp2Session>();
  let opened = 0;
  server.on('session', (session) => {
    opened++;
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
    onSession?.(session);
  });
  server.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      answer(stream, Buffer.concat(chunks).subarray(FRAME_HEADER_BYTES));
    });
  });
  const listening = server as unknown as Server;
  return {
    host: await listen(listening),
    sessions,
    connections: () => opened,
    stopListening: () => {
      listening.close();
    },
    close: async () => {
      for (const session of sessions) session.destroy();
      const closed = listening.listening ? once(listening, 'close') : undefined;
      listening.close();
      await closed;
    },
  };
}

/** A server that is fed by hand: `talk` has each connection. */
async function startSocketPeer(talk: (socket: Socket) => void): Promise<{ readonly host: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createSocketServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    talk(socket);
  });
  return {
    host: await listen(server),
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export const SETTINGS = encodeHttp2Settings([]);

/** `message` behind gRPC's frame head. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + message.length);
  writeFrameHeader(frame, message.length);
  frame[0] = flag;
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

export const ANSWER = encodeModelInferResponse(
  { modelName: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: Float32Array.of(2.5) }] },
  { raw: true },
);

/** Answers a call as gRPC does. */
export function reply(
  stream: ServerHttp2Stream,
  {
    message = framed(ANSWER),
    headers = {},
    trailers = { 'grpc-status': '0' },
  }: { message?: Uint8Array; headers?: object; trailers?: Record<string, string> } = {},
): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...headers }, { waitForTrailers: true });
  stream.on('wantTrailers', () => {
    stream.sendTrailers(trailers);
  });
  stream.end(message);
}
