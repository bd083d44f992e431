import fc from 'fast-check';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { GrpcChannel } from '../../../src/client/grpc-channel.ts';
import { tensor, type InferenceError } from '../../../src/client/index.ts';
import { encodeHttp2Numbers, FrameFlag, FrameType, HTTP2_HEAD_BYTES, writeHttp2Head } from '../../../src/codec/index.ts';
import { StopSource } from '../../../src/core/stop-signal.ts';
import { until } from '../../support/until.ts';
import { ANSWER, closeLater, failureOf, framed, ONE, open, peer, reply, SETTINGS, socketPeer } from './grpc-peer.ts';

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HTTP2_HEAD_BYTES + payload.length);
  writeHttp2Head(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, HTTP2_HEAD_BYTES);
  return bytes;
}

/** `:status 200`, `content-type: application/grpc`. */
const HEAD_BLOCK = Buffer.concat([Buffer.of(0x88, 0x0f, 0x10, 16), Buffer.from('application/grpc')]);

/** Says SETTINGS, and `then` once the first call has come. */
function speaking(then: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    socket.write(SETTINGS);
    let seen = Buffer.alloc(0);
    socket.on('data', function look(chunk: Buffer) {
      seen = Buffer.concat([seen, chunk]);
      if (!seen.includes('ModelInfer')) return;
      socket.off('data', look);
      socket.resume();
      then(socket);
    });
  };
}

describe('a connection that is lost', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['before the first word', (socket) => socket.destroy()],
    ['after SETTINGS', speaking((socket) => socket.destroy())],
    ['within a frame', speaking((socket) => socket.end(frame(FrameType.headers, FrameFlag.endHeaders, 1, HEAD_BLOCK).subarray(0, 15)))],
    ['after the headers', speaking((socket) => socket.end(frame(FrameType.headers, FrameFlag.endHeaders, 1, HEAD_BLOCK)))],
    [
      'within the message',
      speaking((socket) => {
        socket.write(frame(FrameType.headers, FrameFlag.endHeaders, 1, HEAD_BLOCK));
        socket.end(frame(FrameType.data, 0, 1, framed(ANSWER).subarray(0, 20)));
      }),
    ],
  ])('%s fails the call as unavailable, and it may be tried again', async (_, talk) => {
    const error = await failureOf(open(await socketPeer(talk)).infer('m', ONE));
    expect(error).toMatchObject({ reason: 'unavailable', retryable: true, grpcCode: undefined });
    expect(error.message).toMatch(/^Cannot reach 127\.0\.0\.1:\d+: /);
  });

  it('is replaced, after a pause while nobody is there', async () => {
    let isUp = false;
    const host = await socketPeer(
      speaking((socket) => {
        if (!isUp) socket.destroy();
        else socket.write(Buffer.concat([frame(FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, 1, trailersOnly('0'))]));
      }),
    );
    const client = open(host);
    expect((await failureOf(client.infer('m', ONE))).reason).toBe('unavailable');
    isUp = true;
    // It speaks gRPC again, if without a message.
    expect((await failureOf(client.infer('m', ONE))).reason).toBe('invalid_response');
  });

  it('is found out by silence: a server that answers nothing at all, within a bound', async () => {
    const host = await socketPeer(speaking(() => undefined));
    const error = await failureOf(call(host, { connectMs: 5000, watchMs: 10, pingAfterMs: 20, pongMs: 20 }));
    expect(error.message).toMatch(/no sign of life for \d+ ms$/);
  });

  it('is kept while the server gives signs of life', async () => {
    let pings = 0;
    let answer = (): void => undefined;
    const server = await peer(
      (stream) => {
        answer = () => {
          reply(stream);
        };
      },
      { onSession: (session) => session.on('ping', () => pings++) },
    );
    const result = call(server.host, { connectMs: 5000, watchMs: 5, pingAfterMs: 10, pongMs: 5000 });
    await until(() => pings >= 2);
    answer();
    expect((await result).message.equals(ANSWER)).toBe(true);
  });

  it('is given up when the server never says a word of HTTP/2', async () => {
    const host = await socketPeer(() => undefined);
    const error = await failureOf(call(host, { connectMs: 50, watchMs: 5000, pingAfterMs: 10_000, pongMs: 10_000 }));
    expect(error).toMatchObject({ reason: 'unavailable', message: `Cannot reach ${host}: no HTTP/2 within 50 ms` });
  });
});

function trailersOnly(status: string): Buffer {
  return Buffer.concat([HEAD_BLOCK, Buffer.of(0, 11), Buffer.from('grpc-status'), Buffer.of(status.length), Buffer.from(status)]);
}

async function call(host: string, timing: ConstructorParameters<typeof GrpcChannel>[1]): Promise<{ readonly message: Buffer }> {
  const channel = new GrpcChannel(
    { address: new URL(`grpc://${host}`), authority: undefined, isBinary: true, maxResponseBytes: 1e6, maxConnections: 1, tls: {} },
    timing,
  );
  closeLater(() => {
    channel.close();
  });
  const body = Buffer.concat([Buffer.alloc(HTTP2_HEAD_BYTES), framed(Buffer.alloc(0))]);
  return channel.call('/inference.GRPCInferenceService/ModelInfer', body, { signal: new StopSource(), timeoutMs: 20_000, headers: {} });
}

describe('a server that speaks nonsense', () => {
  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['HTTP/1.1', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /expected HTTP\/2, got "HTTP\/1\.1 400/],
    ['a frame of 16 MiB', speaking((socket) => socket.write(Buffer.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1))), /at most 16384 bytes/],
    ['headers that are no HPACK', speaking((socket) => socket.write(frame(FrameType.headers, 4, 1, Buffer.of(0xff, 0xff, 0xff)))), /header block/],
    ['a dynamic table', speaking((socket) => socket.write(frame(FrameType.headers, 4, 1, Buffer.of(0xbe)))), /no entry 62/],
    ['CONTINUATION of nothing', speaking((socket) => socket.write(frame(FrameType.continuation, 4, 1, HEAD_BLOCK))), /CONTINUATION/],
    ['a promise', speaking((socket) => socket.write(frame(FrameType.pushPromise, 4, 1, Buffer.alloc(8)))), /pushes/],
    ['padding beyond the frame', speaking((socket) => socket.write(frame(FrameType.data, FrameFlag.padded, 1, Buffer.of(9, 1)))), /padding/],
    ['a window above 2 GiB', speaking((socket) => socket.write(encodeHttp2Numbers(FrameType.windowUpdate, 0, 2 ** 31 - 1))), /window/],
    ['headers without an end', speaking(flood), /longer than 65536 bytes/],
  ])('fails the call with what it said: %s', async (_, talk, words) => {
    const error = await failureOf(open(await socketPeer(talk)).infer('m', ONE));
    expect(error).toMatchObject({ reason: 'unavailable', retryable: false, message: expect.stringMatching(words) as string });
  });

  it.each<[string, (stream: ServerHttp2Stream) => void, Partial<InferenceError>]>([
    [
      'a page',
      (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'text/html' });
        stream.end('<html>');
      },
      { reason: 'invalid_response' },
    ],
    [
      '503 of a proxy',
      (stream) => {
        stream.respond({ ':status': 503 });
        stream.end('no');
      },
      { reason: 'unavailable', message: 'Received HTTP status code 503' },
    ],
    [
      'no status',
      (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.end(framed(ANSWER));
      },
      { reason: 'invalid_response' },
    ],
    [
      'no message',
      (stream) => {
        reply(stream, { message: Buffer.alloc(0) });
      },
      { reason: 'invalid_response' },
    ],
    [
      'half a message',
      (stream) => {
        reply(stream, { message: framed(ANSWER).subarray(0, 12) });
      },
      { reason: 'invalid_response' },
    ],
    [
      'two messages',
      (stream) => {
        reply(stream, { message: Buffer.concat([framed(ANSWER), framed(ANSWER)]) });
      },
      { reason: 'invalid_response' },
    ],
    [
      'a message of 2 GiB',
      (stream) => {
        reply(stream, { message: Buffer.of(0, 0x7f, 0xff, 0xff, 0xff, 0) });
      },
      { reason: 'payload_too_large', grpcCode: undefined },
    ],
    [
      'an unknown packing',
      (stream) => {
        reply(stream, { message: framed(ANSWER, 1), headers: { 'grpc-encoding': 'zstd' } });
      },
      { reason: 'invalid_response' },
    ],
    [
      'RST_STREAM',
      (stream) => {
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      },
      { reason: 'internal', grpcCode: 'INTERNAL' },
    ],
    [
      'its cancellation',
      (stream) => {
        stream.close(constants.NGHTTP2_CANCEL);
      },
      { reason: 'cancelled', grpcCode: 'CANCELLED' },
    ],
    [
      'words beyond ASCII',
      (stream) => {
        reply(stream, { message: Buffer.alloc(0), trailers: { 'grpc-status': '3', 'grpc-message': 'so nicht: %C3%A4%25' } });
      },
      { reason: 'invalid_request', message: 'so nicht: ä%' },
    ],
    [
      'only trailers',
      (stream) => {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '8', 'grpc-message': 'full', 'grpc-retry-pushback-ms': '30' },
          { endStream: true },
        );
      },
      { reason: 'overloaded', retryAfterMs: 30 },
    ],
    [
      'a status without a name',
      (stream) => {
        reply(stream, { trailers: { 'grpc-status': '77' } });
      },
      { reason: 'internal', grpcCode: 'UNKNOWN' },
    ],
  ])('fails one call and keeps the connection: %s', async (_, answer, expected) => {
    const acts = [answer];
    const server = await peer((stream) => {
      (acts.shift() ?? reply)(stream);
    });
    const client = open(server.host);
    expect(await failureOf(client.infer('m', ONE))).toMatchObject(expected);
    expect((await client.infer('m', ONE)).numbers('y')).toEqual([2.5]);
    expect(server.connections()).toBe(1);
  });
});

/** CONTINUATION frames without end. */
function flood(socket: Socket): void {
  socket.write(frame(FrameType.headers, 0, 1, HEAD_BLOCK));
  for (let count = 0; count < 8000; count++) socket.write(frame(FrameType.continuation, 0, 1, Buffer.alloc(0)));
}

describe('answers', () => {
  it.each([
    ['gzip', gzipSync(ANSWER)],
    ['deflate', deflateSync(ANSWER)],
  ])('are unpacked: %s', async (encoding, packed) => {
    const server = await peer((stream) => {
      reply(stream, { message: framed(packed, 1), headers: { 'grpc-encoding': encoding } });
    });
    expect((await open(server.host).infer('m', ONE)).numbers('y')).toEqual([2.5]);
  });

  it('are bounded after unpacking, too', async () => {
    const server = await peer((stream) => {
      reply(stream, { message: framed(gzipSync(Buffer.alloc(1e6)), 1), headers: { 'grpc-encoding': 'gzip' } });
    });
    expect(await failureOf(open(server.host, { maxResponseBytes: 10_000 }).infer('m', ONE))).toMatchObject({ reason: 'payload_too_large' });
  });

  it('bring their metadata, whatever the server makes of the headers', async () => {
    let headers: Record<string, string> = {};
    const server = await peer((stream) => {
      reply(stream, { headers });
    });
    const client = open(server.host);
    const texts = fc.stringMatching(/^[!-~]([ -~]{0,300}[!-~])?$/);
    const names = fc.stringMatching(/^x-[a-z0-9_.-]{1,40}$/).filter((name) => !name.endsWith('-bin'));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, texts, { maxKeys: 30, noNullPrototype: true }), async (given) => {
        headers = given;
        const answer = await client.infer('m', ONE);
        const { date = '', ...rest } = { ...answer.headers };
        expect(date).toMatch(/GMT$/);
        expect(rest).toEqual({ 'content-type': 'application/grpc', ...given });
      }),
      { numRuns: 40 },
    );
    headers = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'long '.repeat(20) + 'z']));
    expect((await client.infer('m', ONE)).headers).toMatchObject(headers);
  });

  it('and requests of megabytes pass through small windows', async () => {
    const large = Float64Array.from({ length: 400_000 }, (_, index) => index);
    let got = 0;
    const server = await peer(
      (stream, message) => {
        got = message.length;
        reply(stream, { message: framed(message) });
      },
      { settings: { initialWindowSize: 10_000 } },
    );
    const client = open(server.host);
    // What is sent comes back, and is no answer: but all of it has come.
    const calls = Array.from({ length: 3 }, () => failureOf(client.infer('m', { inputs: [tensor('x', 'FP64', [large.length], large)] })));
    expect((await Promise.all(calls)).every(({ reason }) => reason === 'invalid_response')).toBe(true);
    expect(got).toBeGreaterThan(3_200_000);
  });
});
