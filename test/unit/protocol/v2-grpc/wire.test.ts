import { once } from 'node:events';
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeModelInferRequest, statusName } from '../../../../src/codec/index.ts';
import { echo, recordingLogger, Rig, type LogRecord } from './harness.ts';

const PATH = '/inference.GRPCInferenceService/ModelInfer';
const MESSAGE = encodeModelInferRequest(
  { modelName: 'm', inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }] },
  { raw: true },
);

function frame(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

interface Answer {
  readonly httpStatus: number;
  readonly status: string;
  readonly message: string;
  readonly bytes: Buffer;
  readonly headers: http2.IncomingHttpHeaders;
}

/** Whatever the stream was closed for. */
function closed(stream: http2.ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve));
}

describe('a gRPC stream', () => {
  let rig: Rig;
  let session: http2.ClientHttp2Session;
  const records: LogRecord[] = [];

  const start = async (...args: Parameters<typeof Rig.start>): Promise<void> => {
    records.length = 0;
    rig = await Rig.start(args[0], { log: recordingLogger(records), ...args[1] });
    session = http2.connect(`http://127.0.0.1:${String(rig.port)}`);
    session.on('error', () => undefined);
  };
  beforeEach(() => start());
  afterEach(async () => {
    session.destroy();
    await rig.close();
  });

  const open = (headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream => {
    const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers', ...headers });
    stream.on('error', () => undefined);
    return stream;
  };
  const answerOf = async (stream: http2.ClientHttp2Stream): Promise<Answer> => {
    const chunks: Buffer[] = [];
    let headers: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on('response', (received) => (headers = received));
    stream.on('trailers', (received: http2.IncomingHttpHeaders) => (trailers = received));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await closed(stream);
    const status = trailers['grpc-status'] ?? headers['grpc-status'];
    return {
      httpStatus: Number(headers[':status']),
      status: status === undefined ? 'none' : statusName(String(status)),
      message: decodeURIComponent(String(trailers['grpc-message'] ?? headers['grpc-message'] ?? '')),
      bytes: Buffer.concat(chunks),
      headers,
    };
  };
  const send = (bytes: Uint8Array | undefined, headers: http2.OutgoingHttpHeaders = {}): Promise<Answer> => {
    const stream = open(headers);
    stream.end(bytes);
    return answerOf(stream);
  };

  it('with one message is answered with one, and with trailers', async () => {
    const answer = await send(frame(MESSAGE));
    expect(answer).toMatchObject({ httpStatus: 200, status: 'OK' });
    expect(answer.bytes.readUInt32BE(1)).toBe(answer.bytes.length - 5);
    expect(answer.headers['content-type']).toBe('application/grpc+proto');
  });

  it('byte by byte is answered all the same', async () => {
    const stream = open();
    for (const byte of frame(MESSAGE)) stream.write(Buffer.of(byte));
    stream.end();
    expect((await answerOf(stream)).status).toBe('OK');
  });

  it.each([
    ['no message at all', Buffer.alloc(0), 'UNIMPLEMENTED', /expected one message, got none/],
    ['half a header', Buffer.from([0, 0]), 'INVALID_ARGUMENT', /the stream ended inside of it/],
    ['less than it announces', frame(MESSAGE, 0, MESSAGE.length + 1), 'INVALID_ARGUMENT', /the stream ended inside of it/],
    ['more than it announces', frame(MESSAGE, 0, MESSAGE.length - 1), 'INVALID_ARGUMENT', /the stream ended inside of it/],
    ['two messages', Buffer.concat([frame(MESSAGE), frame(MESSAGE)]), 'UNIMPLEMENTED', /expected one message, got more/],
    ['a length beyond the limit', frame(Buffer.alloc(4), 0, 2 ** 31), 'RESOURCE_EXHAUSTED', /expected at most 8388608 bytes .*, got 2147483648/],
    ['an unknown flag', frame(MESSAGE, 7), 'INVALID_ARGUMENT', /expected compressed flag 0 or 1, got 7/],
    ['a compressed message without an encoding', frame(gzipSync(MESSAGE), 1), 'INVALID_ARGUMENT', /header grpc-encoding is absent/],
  ])('with %s is %3$s', async (_what, bytes, status, message) => {
    const answer = await send(bytes);
    expect([answer.status, answer.message]).toEqual([status, expect.stringMatching(message)]);
    expect(rig.dataplane.calls).toEqual([]);
    expect((await send(frame(MESSAGE))).status).toBe('OK');
  });

  it.each([
    ['broken gzip', 'gzip', Buffer.from('no gzip'), 'INVALID_ARGUMENT', /expected gzip data, got/],
    ['gzip cut off', 'gzip', gzipSync(MESSAGE).subarray(0, -4), 'INVALID_ARGUMENT', /expected gzip data, got/],
    ['an unknown encoding', 'zstd', MESSAGE, 'UNIMPLEMENTED', /expected grpc-encoding identity, gzip, deflate, got "zstd"/],
    ['a gzip bomb', 'gzip', gzipSync(Buffer.alloc(20 << 20)), 'RESOURCE_EXHAUSTED', /got more after inflating/],
  ])('with %s is %4$s', async (_what, encoding, body, status, message) => {
    const answer = await send(frame(body, 1), { 'grpc-encoding': encoding });
    expect([answer.status, answer.message]).toEqual([status, expect.stringMatching(message)]);
  });

  it.each(['gzip', 'deflate'])('with encoding %s may still send plain messages', async (encoding) => {
    expect((await send(frame(MESSAGE), { 'grpc-encoding': encoding })).status).toBe('OK');
  });

  it.each([
    ['GET', { ':method': 'GET' }, 405],
    ['another content type', { 'content-type': 'application/json' }, 415],
    ['gRPC-Web', { 'content-type': 'application/grpc-web+proto' }, 415],
    ['no content type', { 'content-type': undefined }, 415],
  ])('that is no call, %s, gets an HTTP status', async (_what, headers, status) => {
    const answer = await send(undefined, headers);
    expect([answer.httpStatus, answer.status]).toEqual([status, 'none']);
  });

  it.each(['1', '5s', '123456789m', '-1m'])('with grpc-timeout %s is INVALID_ARGUMENT', async (timeout) => {
    expect((await send(frame(MESSAGE), { 'grpc-timeout': timeout })).status).toBe('INVALID_ARGUMENT');
  });

  it('whose message stops coming ends, and the connection goes on', async () => {
    session.destroy();
    await rig.close();
    await start({ stallTimeoutMs: 50, headerTimeoutMs: 40 });
    const stream = open();
    stream.write(frame(MESSAGE).subarray(0, 20));
    const answer = await answerOf(stream);
    expect([answer.status, answer.message]).toEqual(['DEADLINE_EXCEEDED', 'Cannot read the message: nothing arrived for 50 ms']);
    expect((await send(frame(MESSAGE))).status).toBe('OK');
  });

  it('beyond its deadline is answered although its model never settles', async () => {
    rig.dataplane.infer = () => new Promise(() => undefined);
    expect((await send(frame(MESSAGE), { 'grpc-timeout': '20m' })).status).toBe('DEADLINE_EXCEEDED');
  });

  it('that is reset before, in and after its message leaves nothing behind', async () => {
    const before = open();
    const during = open();
    during.write(frame(MESSAGE).subarray(0, 9));
    let started = (): void => undefined;
    const running = new Promise<void>((resolve) => (started = resolve));
    const stopped = new Promise<void>((resolve) => {
      rig.dataplane.infer = (request, { signal }) =>
        new Promise((settle) => {
          signal.addEventListener('abort', () => {
            settle(echo(request));
            resolve();
          });
          started();
        });
    });
    const after = open();
    after.end(frame(MESSAGE));
    await running;
    for (const stream of [before, during, after]) stream.close(http2.constants.NGHTTP2_CANCEL);
    await stopped;
    rig.dataplane.infer = (request) => Promise.resolve(echo(request));
    expect((await send(frame(MESSAGE))).status).toBe('OK');
    expect(records.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('of a client that reads slowly is answered whole', async () => {
    const size = 6 << 20;
    rig.dataplane.infer = (request) =>
      Promise.resolve({ ...echo(request), outputs: [{ name: 'y', datatype: 'UINT8', shape: [size], data: new Uint8Array(size).fill(3) }] });
    const stream = open();
    stream.end(frame(MESSAGE));
    await once(stream, 'response');
    // Nothing is read yet: the windows of HTTP/2 hold the server back.
    expect((await send(frame(Buffer.from([0x0a, 0x01, 0x7a])))).status).toBe('NOT_FOUND');
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    const [trailers] = (await once(stream, 'trailers')) as [http2.IncomingHttpHeaders];
    expect(trailers['grpc-status']).toBe('0');
    expect(bytes).toBeGreaterThan(size);
  });

  it('of a client that takes nothing is given up', async () => {
    session.destroy();
    await rig.close();
    await start({ stallTimeoutMs: 50, headerTimeoutMs: 40 });
    const size = 4 << 20;
    rig.dataplane.infer = (request) =>
      Promise.resolve({ ...echo(request), outputs: [{ name: 'y', datatype: 'UINT8', shape: [size], data: new Uint8Array(size) }] });
    const stream = open();
    stream.end(frame(MESSAGE));
    await closed(stream);
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
  });

  it('one of three thousand at once is answered', async () => {
    const answers = await Promise.all(Array.from({ length: 3000 }, () => send(frame(MESSAGE))));
    expect(answers.filter(({ status }) => status !== 'OK')).toEqual([]);
  });

  it('opened before GOAWAY is answered, then the connection closes', async () => {
    const stream = open();
    stream.write(frame(MESSAGE).subarray(0, 3));
    expect((await send(frame(MESSAGE))).status).toBe('OK');
    const told = once(session, 'goaway');
    rig.server.drain();
    expect((await told).slice(0, 2)).toEqual([0, 2 ** 31 - 1]);
    stream.end(frame(MESSAGE).subarray(3));
    expect((await answerOf(stream)).status).toBe('OK');
    if (!session.destroyed) await once(session, 'close');
  });
});
