import { once } from 'node:events';
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { ServingError } from '../../../../src/core/errors.ts';
import type { HttpOptions } from '../../../../src/protocol/http/index.ts';
import { startEcho, type EchoFrontend } from './echo-frontend.ts';
import { RawClient, head } from './raw-client.ts';

let echo: EchoFrontend;
let session: http2.ClientHttp2Session;

async function start(options: Partial<HttpOptions> = {}): Promise<void> {
  const failing = (reason: ServingError['reason']) => (): never => {
    throw new ServingError(reason, `it is ${reason}`);
  };
  echo = await startEcho(options, {
    routes: [
      { method: 'GET', path: '/busy', handle: failing('overloaded') },
      { method: 'POST', path: '/v1/models/:model\\:predict', handle: (call) => ({ status: 200, body: JSON.stringify(call.params) }) },
      { method: 'GET', path: '/header', handle: () => ({ status: 200, headers: { 'keep-alive': 'x' } }) },
      { method: 'GET', path: '/headers', handle: (call) => ({ status: 200, body: JSON.stringify(call.headers) }) },
    ],
  });
  session = http2.connect(`http://127.0.0.1:${String(echo.port)}`);
  session.on('error', () => undefined);
}

afterEach(async () => {
  session.destroy();
  await echo.frontend.stop(0);
});

function open(method: string, path: string, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: false });
  stream.on('error', () => undefined);
  return stream;
}

/** Whatever the stream was closed for. */
function closed(stream: http2.ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve));
}

async function answerOf(stream: http2.ClientHttp2Stream): Promise<{ status: number; body: string; headers: http2.IncomingHttpHeaders }> {
  let headers: http2.IncomingHttpHeaders = {};
  let body = '';
  stream.on('response', (received) => (headers = received));
  stream.setEncoding('utf8').on('data', (text: string) => (body += text));
  await closed(stream);
  return { status: Number(headers[':status']), body, headers };
}

async function send(
  method: string,
  path: string,
  body: string | Uint8Array = '',
  headers: http2.OutgoingHttpHeaders = {},
): ReturnType<typeof answerOf> {
  const stream = open(method, path, headers);
  stream.end(body);
  return answerOf(stream);
}

describe('REST over HTTP/2 on the HTTP port', () => {
  it.each([
    ['GET', '/hello', 200, 'hello'],
    ['GET', '/hello/', 200, 'hello'],
    ['GET', '/hello?a=%zz', 200, 'hello'],
    ['GET', '/HELLO', 404, '{"detail":"Not Found"}'],
    ['GET', '/names/', 404, '{"detail":"Not Found"}'],
    ['POST', '/hello', 405, '{"detail":"Method Not Allowed"}'],
    ['GET', '/names/a%2Fb', 200, '{"name":"a/b"}'],
    ['GET', '/names/__proto__', 200, '{"name":"__proto__"}'],
    ['GET', '/names/%ff', 400, '{"error":"Cannot read the path: expected percent-encoded UTF-8, got a broken sequence"}'],
    ['POST', '/v1/models/a:b:predict', 200, '{"model":"a:b"}'],
    ['GET', '/busy', 429, '{"error":"it is overloaded"}'],
  ])('%s %s answers %i as over HTTP/1.1', async (method, path, status, body) => {
    await start();
    const answer = await send(method, path);
    expect([answer.status, answer.body]).toEqual([status, body]);
    const overHttp1 = await new RawClient(echo.port).send(head(method, path, method === 'POST' ? { 'content-length': '0' } : {})).reply();
    expect([overHttp1.status, overHttp1.body]).toEqual([status, body]);
    expect(answer.headers.allow).toBe(overHttp1.headers['allow']);
    expect(answer.headers['retry-after']).toBe(overHttp1.headers['retry-after']);
  });

  it('answers HEAD with the head of GET', async () => {
    await start();
    expect(await send('HEAD', '/hello')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '5' } });
  });

  it('hands the request id and the host over and echoes the id', async () => {
    await start();
    const answer = await send('GET', '/headers', '', { 'x-request-id': 'abc-1' });
    expect(JSON.parse(answer.body)).toMatchObject({ 'x-request-id': 'abc-1', host: `127.0.0.1:${String(echo.port)}` });
    expect(answer.headers['x-request-id']).toBe('abc-1');
  });

  it('reads bodies plain, inflated and of megabytes', async () => {
    await start({ maxBodyBytes: 8 << 20 });
    expect((await send('POST', '/echo', 'plain')).body).toBe('plain');
    expect((await send('POST', '/echo', gzipSync('inflated'), { 'content-encoding': 'gzip' })).body).toBe('inflated');
    const large = 'x'.repeat(5 << 20);
    expect((await send('POST', '/echo', large)).body === large).toBe(true);
    expect(echo.outcomes.map(({ status, route, requestBytes }) => [status, route, requestBytes])).toContainEqual([200, '/echo', 5 << 20]);
  });

  it.each([
    ['beyond the limit', 'x'.repeat(2 << 20), {}, 413],
    ['of broken gzip', 'x', { 'content-encoding': 'gzip' }, 400],
    ['of an unknown coding', 'x', { 'content-encoding': 'br' }, 415],
  ])('refuses a body %s, and the connection goes on', async (_what, body, headers, status) => {
    await start();
    expect((await send('POST', '/echo', body, headers)).status).toBe(status);
    expect((await send('GET', '/hello')).body).toBe('hello');
  });

  it('gives up a body that stops coming', async () => {
    await start({ bodyTimeoutMs: 50 });
    const stream = open('POST', '/echo');
    stream.write('half');
    expect((await answerOf(stream)).status).toBe(408);
  });

  it('tells a route when its client has reset the stream', async () => {
    await start();
    const stream = open('GET', '/slow');
    stream.end();
    const { call } = await echo.nextSlow();
    const aborted = new Promise<void>((resolve) => {
      call.signal.addEventListener('abort', resolve);
    });
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await aborted;
    expect(echo.outcomes).toMatchObject([{ route: '/slow', status: 499 }]);
  });

  it('ends the stream of a reply that HTTP/2 cannot carry, and no other', async () => {
    await start();
    expect((await send('GET', '/header')).status).toBeNaN();
    expect((await send('GET', '/hello')).status).toBe(200);
  });

  it('answers what is under way when it stops, and closes with GOAWAY', async () => {
    await start();
    const stream = open('GET', '/slow');
    stream.end();
    const answer = answerOf(stream);
    const { release } = await echo.nextSlow();
    const told = once(session, 'goaway');
    echo.frontend.drain();
    await told;
    const stopped = echo.frontend.stop(5000);
    release();
    expect(await answer).toMatchObject({ status: 200, body: 'slow' });
    await stopped;
  });

  it('has a limit for heads', async () => {
    await start();
    // Limits hold once the client has confirmed them.
    expect((await send('GET', '/hello')).status).toBe(200);
    const stream = open('GET', '/hello', { 'x-large': 'x'.repeat(20_000) });
    stream.end();
    await closed(stream);
    expect(stream.rstCode).not.toBe(0);
    expect((await send('GET', '/hello')).status).toBe(200);
  });
});

describe('the first bytes of a connection', () => {
  it.each([
    ['byte by byte', head('GET', '/hello').split('')],
    ['that begin like HTTP/2', ['PR', 'OPFIND /hello HTTP/1.1\r\nHost: x\r\n\r\n']],
  ])('of HTTP/1.1 %s are answered', async (_what, parts) => {
    await start();
    const client = new RawClient(echo.port);
    for (const part of parts) {
      client.send(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([200, 405]).toContain((await client.reply()).status);
  });

  it('that are PRI and then something else close the connection', async () => {
    await start();
    const client = new RawClient(echo.port).send('PRI / HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.closed;
    expect((await send('GET', '/hello')).status).toBe(200);
  });

  it.each(['', 'PR'])('%j and then nothing close it in time', async (bytes) => {
    await start({ headerTimeoutMs: 40 });
    const client = new RawClient(echo.port);
    if (bytes !== '') client.send(bytes);
    expect(await client.closed).toBe('');
  });

  it('of HTTP/2 without the frames that must follow close it in time', async () => {
    await start({ headerTimeoutMs: 40 });
    await new RawClient(echo.port).send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n').closed;
  });
});
