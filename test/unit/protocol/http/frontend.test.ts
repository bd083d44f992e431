import { afterEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../../src/core/context.ts';
import { ServingError } from '../../../../src/core/errors.ts';
import type { HttpRoute } from '../../../../src/core/http.ts';
import type { HttpOptions } from '../../../../src/protocol/http/index.ts';
import { startEcho, type EchoFrontend } from './echo-frontend.ts';
import { RawClient, head } from './raw-client.ts';

let echo: EchoFrontend | undefined;

async function start(options: Partial<HttpOptions> = {}, extra: { routes?: readonly HttpRoute[]; log?: Logger } = {}): Promise<EchoFrontend> {
  echo = await startEcho(options, extra);
  return echo;
}

afterEach(async () => {
  await echo?.frontend.stop(0);
  echo = undefined;
});

/** The server lives and answers on a new connection. */
async function expectServing(port: number): Promise<void> {
  const reply = await new RawClient(port).send(head('GET', '/hello')).reply();
  expect(reply).toMatchObject({ status: 200, body: 'hello' });
}

describe('matching', () => {
  test('a route answers with its headers, length, id and date, and keeps the connection', async () => {
    const { port } = await start();
    const client = new RawClient(port);
    for (let i = 0; i < 3; i++) {
      const reply = await client.send(head('GET', '/hello', { 'x-request-id': 'abc-1' })).reply();
      expect(reply).toMatchObject({ status: 200, body: 'hello' });
      expect(reply.headers).toMatchObject({ 'content-type': 'text/plain', 'content-length': '5', 'x-request-id': 'abc-1', connection: 'keep-alive' });
      expect(reply.headers['date']).toBeDefined();
      expect(reply.headers['x-powered-by']).toBeUndefined();
      expect(reply.headers['etag']).toBeUndefined();
    }
  });

  test.each([
    ['GET', '/unknown', 404, '{"detail":"Not Found"}'],
    ['GET', '/HELLO', 404, '{"detail":"Not Found"}'],
    ['GET', '/names/', 404, '{"detail":"Not Found"}'],
    ['POST', '/hello', 405, '{"detail":"Method Not Allowed"}'],
    ['OPTIONS', '/hello', 405, '{"detail":"Method Not Allowed"}'],
    ['GET', '/hello/', 200, 'hello'],
    ['GET', '/hello?a=%zz', 200, 'hello'],
    ['GET', '/names/..', 200, '{"name":".."}'],
    ['GET', '/names/a%2Fb', 200, '{"name":"a/b"}'],
    ['GET', '/names/__proto__', 200, '{"name":"__proto__"}'],
    ['GET', '/names/%zz', 400, '{"error":"Cannot read the path: expected percent-encoded UTF-8, got a broken sequence"}'],
    ['GET', '/names/%ff', 400, '{"error":"Cannot read the path: expected percent-encoded UTF-8, got a broken sequence"}'],
  ])('%s %s answers %i', async (method, path, status, body) => {
    const { port } = await start();
    expect(await new RawClient(port).send(head(method, path)).reply()).toMatchObject({ status, body });
  });

  test('a wrong method names the right ones', async () => {
    const { port } = await start();
    const client = new RawClient(port);
    expect((await client.send(head('DELETE', '/hello')).reply()).headers['allow']).toBe('GET, HEAD');
    expect((await client.send(head('PUT', '/echo', { 'content-length': 0 })).reply()).headers['allow']).toBe('POST');
  });

  test('HEAD answers as GET without a body', async () => {
    const { port } = await start();
    const client = new RawClient(port).send(head('HEAD', '/hello', { connection: 'close' }));
    expect(await client.closed).toMatch(/^HTTP\/1.1 200 OK\r\ncontent-length: 5\r\n[^]*\r\n\r\n$/);
  });

  test.each([['with space'], ['x'.repeat(129)], ['caf\xe9']])('a request id that is not short and printable is replaced: %j', async (id) => {
    const { port } = await start();
    const client = new RawClient(port).send(Buffer.from(head('GET', '/hello', { 'x-request-id': id }), 'latin1'));
    expect((await client.reply()).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}-[0-9a-z]+$/);
  });
});

describe('errors', () => {
  const thrown: HttpRoute[] = [
    {
      method: 'GET',
      path: '/overloaded',
      handle() {
        throw new ServingError('overloaded', 'Queue is full');
      },
    },
    {
      method: 'GET',
      path: '/crash',
      handle: () => Promise.reject(new Error('secret')),
    },
    { method: 'GET', path: '/bad-header', handle: () => ({ status: 200, headers: { 'x-bad': 'a\nb' }, body: 'x' }) },
  ];

  test('a ServingError answers by the table, with Retry-After when it may pass', async () => {
    const { port } = await start({}, { routes: thrown });
    const reply = await new RawClient(port).send(head('GET', '/overloaded')).reply();
    expect(reply).toMatchObject({ status: 429, body: '{"error":"Queue is full"}' });
    expect(reply.headers).toMatchObject({ 'retry-after': '1', 'content-type': 'application/json' });
  });

  test('anything else answers 500 without its text, and is logged once with it', async () => {
    const logged: object[] = [];
    const ignore = (): void => undefined;
    const log: Logger = { debug: ignore, info: ignore, warn: ignore, error: (fields) => logged.push(fields), child: () => log };
    const { port } = await start({}, { routes: thrown, log });
    const reply = await new RawClient(port).send(head('GET', '/crash')).reply();
    expect(reply).toMatchObject({ status: 500, body: '{"error":"Internal server error"}' });
    expect(logged).toEqual([expect.objectContaining({ route: '/crash', status: 500, reason: 'internal', err: new Error('secret') })]);
  });

  test('a reply that cannot be written closes its connection and no other', async () => {
    const { port } = await start({}, { routes: thrown });
    expect(await new RawClient(port).send(head('GET', '/bad-header')).closed).toBe('');
    await expectServing(port);
  });
});

describe('bytes that are not HTTP', () => {
  test.each([
    ['garbage', 'hello there\r\n\r\n', 400],
    ['a head over the limit', head('GET', '/hello', { 'x-long': 'x'.repeat(9000) }), 431],
    ['Transfer-Encoding with Content-Length', `${head('POST', '/echo', { 'transfer-encoding': 'chunked', 'content-length': 5 })}0\r\n\r\n`, 400],
    ['two lengths', 'POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 400],
    ['a negative length', head('POST', '/echo', { 'content-length': -1 }), 400],
    ['a length beyond 64 bits', head('POST', '/echo', { 'content-length': '99999999999999999999999' }), 400],
    ['a length that is no number', head('POST', '/echo', { 'content-length': '0x10' }), 400],
    ['an absurd length', head('POST', '/echo', { 'content-length': '999999999999999' }), 413],
    ['a broken chunk', `${head('POST', '/echo', { 'transfer-encoding': 'chunked' })}zz\r\n`, 400],
  ])('%s is answered with JSON and the connection closes', async (_, bytes, status) => {
    const { port } = await start();
    const client = new RawClient(port).send(bytes);
    const reply = await client.reply();
    expect(reply.status).toBe(status);
    expect(reply.headers).toMatchObject({ 'content-type': 'application/json', connection: 'close' });
    expect(JSON.parse(reply.body)).toEqual({ error: expect.stringContaining('Cannot read the') as string });
    expect(await client.closed).toBe('');
    await expectServing(port);
  });

  test('a head that does not arrive in time answers 408', async () => {
    const { port } = await start({ headerTimeoutMs: 60 });
    const client = new RawClient(port).send('GET /hello HTTP/1.1\r\nhost: a\r\nx-slow: ');
    expect((await client.reply()).status).toBe(408);
    await client.closed;
    await expectServing(port);
  });

  test('garbage behind a request does not spoil the reply to it', async () => {
    const { port, nextSlow } = await start();
    const client = new RawClient(port).send(`${head('GET', '/slow')}garbage\r\n\r\n`);
    (await nextSlow()).release();
    expect(await client.reply()).toMatchObject({ status: 200, body: 'slow' });
    expect(await client.closed).toBe('');
    await expectServing(port);
  });
});

describe('connections', () => {
  test('pipelined requests are answered in order', async () => {
    const { port, nextSlow } = await start();
    const client = new RawClient(port).send(`${head('GET', '/slow')}${head('POST', '/echo', { 'content-length': 3 })}abc${head('GET', '/hello')}`);
    (await nextSlow()).release();
    expect([await client.reply(), await client.reply(), await client.reply()].map(({ body }) => body)).toEqual(['slow', 'abc', 'hello']);
  });

  test('a client that closes while its request runs aborts the signal of each pipelined request and counts as 499', async () => {
    const { port, nextSlow, outcomes } = await start();
    const client = new RawClient(port).send(head('GET', '/slow') + head('GET', '/slow'));
    const slow = [await nextSlow(), await nextSlow()];
    const aborted = slow.map(
      ({ call: { signal } }) =>
        new Promise<void>((resolve) => {
          signal.addEventListener('abort', resolve);
        }),
    );
    client.socket.destroy();
    await Promise.all(aborted);
    expect(slow.map(({ call }) => (call.signal.reason as ServingError).reason)).toEqual(['cancelled', 'cancelled']);
    expect(outcomes.map(({ status }) => status)).toEqual([499, 499]);
    for (const { release } of slow) release();
    await expectServing(port);
  });

  test('a client that ends its side while its request runs has left', async () => {
    const { port, nextSlow } = await start();
    const client = new RawClient(port).send(head('GET', '/slow'));
    const { call, release } = await nextSlow();
    const aborted = new Promise<void>((resolve) => {
      call.signal.addEventListener('abort', resolve);
    });
    client.socket.end();
    await aborted;
    release();
    await expectServing(port);
  });

  test('a client that takes nothing of a large reply is disconnected', async () => {
    let left: Promise<unknown> | undefined;
    const chunk = new Uint8Array(8 << 20);
    const large: HttpRoute = {
      method: 'GET',
      path: '/large',
      handle({ signal }) {
        left = new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            resolve('left');
          });
        });
        return { status: 200, body: [chunk, chunk, chunk, chunk] };
      },
    };
    const { port, outcomes } = await start({ bodyTimeoutMs: 100 }, { routes: [large] });
    const client = new RawClient(port);
    client.socket.pause();
    client.send(head('GET', '/large'));
    await new Promise<void>((resolve) => client.socket.once('connect', resolve));
    await expect.poll(() => left).toBe('left');
    expect(outcomes).toEqual([expect.objectContaining({ route: '/large', status: 499 })]);
    client.socket.destroy();
    await expectServing(port);
  });

  test('the observer sees route, status and sizes of each request', async () => {
    const { port, outcomes } = await start();
    await new RawClient(port).send(`${head('POST', '/echo', { 'content-length': 3 })}abc`).reply();
    await new RawClient(port).send(head('GET', '/names/x')).reply();
    await new RawClient(port).send(head('GET', '/nothing')).reply();
    await expect.poll(() => outcomes.length).toBe(3);
    expect(outcomes).toEqual([
      { method: 'POST', route: '/echo', status: 200, seconds: expect.any(Number) as number, requestBytes: 3, responseBytes: 3 },
      { method: 'GET', route: '/names/{name}', status: 200, seconds: expect.any(Number) as number, requestBytes: 0, responseBytes: 12 },
      { method: 'GET', route: 'unmatched', status: 404, seconds: expect.any(Number) as number, requestBytes: 0, responseBytes: 22 },
    ]);
  });
});

describe('shutdown', () => {
  test('draining answers close their connections, and new ones are still taken', async () => {
    const { frontend, port } = await start();
    const client = new RawClient(port);
    await client.send(head('GET', '/hello')).reply();
    frontend.drain();
    const reply = await client.send(head('GET', '/hello')).reply();
    expect(reply.headers['connection']).toBe('close');
    expect(await client.closed).toBe('');
    await expectServing(port);
  });

  test('stop lets requests in flight finish and then refuses connections', async () => {
    const { frontend, port, nextSlow } = await start();
    const client = new RawClient(port).send(head('GET', '/slow'));
    const { release } = await nextSlow();
    const stopped = frontend.stop(10_000);
    release();
    const reply = await client.reply();
    expect(reply).toMatchObject({ status: 200, body: 'slow' });
    expect(reply.headers['connection']).toBe('close');
    await stopped;
    await expect(new RawClient(port).send(head('GET', '/hello')).reply()).rejects.toThrow('connection closed');
  });

  test('a request on its way over an idle connection is answered after stop began', async () => {
    const { frontend, port } = await start();
    const client = new RawClient(port);
    await client.send(head('GET', '/hello')).reply();
    const stopped = frontend.stop(10_000);
    expect(await client.send(head('GET', '/hello')).reply()).toMatchObject({ status: 200, body: 'hello' });
    await stopped;
  });

  test('stop cuts what does not end in time, and may be called again', async () => {
    const { frontend, port, nextSlow } = await start();
    const client = new RawClient(port).send(head('GET', '/slow'));
    const { call, release } = await nextSlow();
    await Promise.all([frontend.stop(50), frontend.stop(50)]);
    expect(call.signal.aborted).toBe(true);
    expect(await client.closed).toBe('');
    release();
  });

  test('idle connections do not hold up stop', async () => {
    const { frontend, port } = await start();
    const client = new RawClient(port);
    await client.send(head('GET', '/hello')).reply();
    await frontend.stop(60_000);
    expect(await client.closed).toBe('');
  });

  test('a port that is taken rejects start', async () => {
    const { port } = await start();
    const second = (await startEcho()).frontend;
    await expect(second.start('127.0.0.1', port)).rejects.toThrow('EADDRINUSE');
    await second.stop(0);
  });
});
