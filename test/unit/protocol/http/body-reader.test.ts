import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRoute } from '../../../../src/core/http.ts';
import type { HttpOptions } from '../../../../src/protocol/http/index.ts';
import { startEcho, type EchoFrontend } from './echo-frontend.ts';
import { RawClient, head } from './raw-client.ts';

let echo: EchoFrontend | undefined;

async function start(options: Partial<HttpOptions> = {}, routes: readonly HttpRoute[] = []): Promise<number> {
  echo = await startEcho(options, { routes });
  return echo.port;
}

afterEach(async () => {
  await echo?.frontend.stop(0);
  echo = undefined;
});

async function expectServing(port: number): Promise<void> {
  expect(await new RawClient(port).send(head('GET', '/hello')).reply()).toMatchObject({ status: 200, body: 'hello' });
}

function post(body: Uint8Array | string, headers: Record<string, string> = {}, path = '/echo'): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(head('POST', path, { 'content-length': bytes.byteLength, ...headers })), bytes]);
}

const TEXT = JSON.stringify({ values: Array.from({ length: 5000 }, (_, i) => i) });

describe('a body', () => {
  test.each([[0], [1], [2000], [70_000], [1 << 20]])('of %i bytes arrives whole', async (size) => {
    const port = await start();
    const body = 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);
    const reply = await new RawClient(port).send(post(body)).reply();
    expect(reply.status).toBe(200);
    expect(reply.body === body).toBe(true);
  });

  test('of one chunk after another arrives whole', async () => {
    const port = await start();
    const client = new RawClient(port).send(head('POST', '/echo', { 'transfer-encoding': 'chunked' }));
    for (let i = 0; i < 1000; i++) client.send('3\r\nab,\r\n');
    expect((await client.send('0\r\n\r\n').reply()).body).toBe('ab,'.repeat(1000));
  });

  test('is handed over in a buffer of its own', async () => {
    const buffers: ArrayBufferLike[] = [];
    const keep: HttpRoute = {
      method: 'POST',
      path: '/keep',
      async handle(call) {
        const bytes = await call.readBody();
        buffers.push(bytes.buffer);
        return { status: 200, body: String(bytes.byteOffset) };
      },
    };
    const port = await start({}, [keep]);
    const client = new RawClient(port);
    for (const body of ['abc', 'defg', TEXT]) expect((await client.send(post(body, {}, '/keep')).reply()).body).toBe('0');
    expect(new Set(buffers).size).toBe(3);
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([3, 4, TEXT.length]);
  });

  test('cannot be read twice', async () => {
    const twice: HttpRoute = {
      method: 'POST',
      path: '/twice',
      async handle(call) {
        await call.readBody();
        await call.readBody();
        return { status: 200 };
      },
    };
    const port = await start({}, [twice]);
    expect((await new RawClient(port).send(post('abc', {}, '/twice')).reply()).status).toBe(500);
  });

  test.each([
    ['gzip', gzipSync(TEXT)],
    ['x-gzip', gzipSync(TEXT)],
    ['GZIP', Buffer.concat([gzipSync(TEXT.slice(0, 100)), gzipSync(TEXT.slice(100))])],
    ['deflate', deflateSync(TEXT)],
    ['deflate', deflateRawSync(TEXT)],
    ['identity', Buffer.from(TEXT)],
  ])('in %s is inflated', async (coding, bytes) => {
    const port = await start();
    const reply = await new RawClient(port).send(post(bytes, { 'content-encoding': coding })).reply();
    expect(reply.status).toBe(200);
    expect(reply.body === TEXT).toBe(true);
  });

  test.each([
    ['br', Buffer.from('x'), 415, 'expected Content-Encoding gzip or deflate, got "br"'],
    ['gzip, gzip', gzipSync(gzipSync('x')), 415, 'got "gzip, gzip"'],
    ['gzip', Buffer.from('not gzip'), 400, 'Cannot inflate the body: expected gzip data'],
    ['gzip', gzipSync(TEXT).subarray(0, 200), 400, 'unexpected end of file'],
    ['deflate', Buffer.from([0x78, 0x9c, 0xff, 0xff, 0xff]), 400, 'Cannot inflate the body: expected deflate data'],
    ['gzip', gzipSync(Buffer.alloc(64 << 20)), 413, 'expected at most 1048576 bytes, got more after inflating'],
    ['deflate', deflateRawSync(Buffer.alloc(2 << 20)), 413, 'expected at most 1048576 bytes, got more after inflating'],
  ])('in %s that is wrong is refused and the next request works', async (coding, bytes, status, message) => {
    const port = await start();
    const reply = await new RawClient(port).send(post(bytes, { 'content-encoding': coding })).reply();
    expect(reply.status).toBe(status);
    expect((JSON.parse(reply.body) as { error: string }).error).toContain(message);
    await expectServing(port);
  });

  test('over the limit is refused by its length, without reading it', async () => {
    const port = await start();
    const client = new RawClient(port).send(head('POST', '/echo', { 'content-length': (1 << 20) + 1 }));
    const reply = await client.reply();
    expect(reply).toMatchObject({
      status: 413,
      body: '{"error":"Cannot read the body: expected at most 1048576 bytes, got Content-Length 1048577"}',
    });
    expect(reply.headers['connection']).toBe('close');
    await client.closed;
    await expectServing(port);
  });

  test('over the limit in chunks is refused, and the client that sends on still gets the answer', async () => {
    const port = await start({ maxBodyBytes: 1000 });
    const client = new RawClient(port).send(head('POST', '/echo', { 'transfer-encoding': 'chunked' }));
    for (let i = 0; i < 64; i++) client.send(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
    expect(await client.reply()).toMatchObject({ status: 413, headers: { connection: 'close' } });
    await client.closed;
    await expectServing(port);
  });

  test('that stops coming answers 408', async () => {
    const port = await start({ bodyTimeoutMs: 60 });
    const client = new RawClient(port).send(`${head('POST', '/echo', { 'content-length': 100 })}abc`);
    expect(await client.reply()).toMatchObject({
      status: 408,
      headers: { connection: 'close' },
      body: '{"error":"Cannot read the body: nothing arrived for 60 ms"}',
    });
    await client.closed;
    await expectServing(port);
  });

  test('whose client leaves in the middle is given up', async () => {
    const port = await start();
    const client = new RawClient(port).send(`${head('POST', '/echo', { 'content-length': 100 })}abc`);
    await new Promise<void>((resolve) =>
      client.socket.write('def', () => {
        resolve();
      }),
    );
    client.socket.destroy();
    await expect.poll(() => echo?.outcomes).toEqual([expect.objectContaining({ route: '/echo', status: 499, responseBytes: 0 })]);
    await expectServing(port);
  });

  test('whose client ends before its announced length answers 400', async () => {
    const port = await start();
    const client = new RawClient(port).send(`${head('POST', '/echo', { 'content-length': 100 })}abc`);
    client.socket.end();
    expect((await client.reply()).status).toBe(400);
    await client.closed;
    await expectServing(port);
  });

  test('with a transfer coding of its own is refused', async () => {
    const port = await start();
    const client = new RawClient(port).send(`${head('POST', '/echo', { 'transfer-encoding': 'gzip, chunked' })}0\r\n\r\n`);
    expect([400, 415]).toContain((await client.reply()).status);
    await expectServing(port);
  });
});

describe('Expect: 100-continue', () => {
  test('is answered when the route reads the body', async () => {
    const port = await start();
    const client = new RawClient(port).send(head('POST', '/echo', { 'content-length': 3, expect: '100-continue' }));
    expect((await client.reply()).status).toBe(100);
    expect(await client.send('abc').reply()).toMatchObject({ status: 200, body: 'abc' });
    expect(await client.send(head('GET', '/hello')).reply()).toMatchObject({ status: 200 });
  });

  test.each([
    ['/ignore', 10, 404],
    ['/echo', 1 << 30, 413],
  ])('on %s with %i bytes is refused without asking for the body', async (path, length, status) => {
    const port = await start();
    const client = new RawClient(port).send(head('POST', path, { 'content-length': length, expect: '100-continue' }));
    expect(await client.reply()).toMatchObject({ status, headers: { connection: 'close' } });
    expect(await client.closed).toBe('');
  });
});

describe('a body that no route reads', () => {
  test('is dropped when it is small, and the connection stays', async () => {
    const port = await start();
    const client = new RawClient(port).send(post('x'.repeat(5000), {}, '/ignore'));
    expect(await client.reply()).toMatchObject({ status: 404, headers: { connection: 'keep-alive' } });
    expect(await client.send(head('GET', '/hello')).reply()).toMatchObject({ status: 200 });
  });

  test('closes the connection when it is large, and what follows it is not answered', async () => {
    const port = await start();
    const client = new RawClient(port).send(head('POST', '/ignore', { 'content-length': 100_000 }));
    expect(await client.reply()).toMatchObject({ status: 404, headers: { connection: 'close' } });
    client.send('x'.repeat(100_000) + head('GET', '/hello'));
    expect(await client.closed).toBe('');
  });
});
