import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRoute } from '../../../../src/core/http.ts';
import { startEcho, type EchoFrontend } from './echo-frontend.ts';
import { RawClient, head } from './raw-client.ts';

const LARGE = 5 << 20;

let echo: EchoFrontend | undefined;

afterEach(async () => {
  await echo?.frontend.stop(0);
  echo = undefined;
});

interface Use {
  readonly bytes: Uint8Array;
  readonly finish: (error?: Error) => void;
}

/** A server whose uses of bodies end when the test says so. */
async function startUsing(): Promise<{ readonly port: number; readonly next: () => Promise<Use> }> {
  const uses: Use[] = [];
  const waiting: ((use: Use) => void)[] = [];
  const route: HttpRoute = {
    method: 'POST',
    path: '/use',
    async handle(call) {
      const sum = await call.useBody(async (bytes) => {
        await new Promise<void>((resolve, reject) => {
          const finish = (error?: Error): void => {
            if (error === undefined) resolve();
            else reject(error);
          };
          const use = { bytes, finish };
          const taker = waiting.shift();
          if (taker === undefined) uses.push(use);
          else taker(use);
        });
        return bytes.reduce((total, byte) => total + byte, 0);
      });
      return { status: 200, body: String(sum) };
    },
  };
  echo = await startEcho({ maxBodyBytes: 2 * LARGE }, { routes: [route] });
  const next = (): Promise<Use> => {
    const use = uses.shift();
    return use === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(use);
  };
  return { port: echo.port, next };
}

function post(byte: number, bytes: number): Buffer {
  return Buffer.concat([Buffer.from(head('POST', '/use', { 'content-length': bytes })), Buffer.alloc(bytes, byte)]);
}

describe('a body in use', () => {
  test.each([[0], [3], [70_000], [LARGE]])('of %i bytes is whole', async (size) => {
    const { port, next } = await startUsing();
    const reply = new RawClient(port).send(post(7, size)).reply();
    const { bytes, finish } = await next();
    expect(bytes.byteLength).toBe(size);
    finish();
    expect((await reply).body).toBe(String(7 * size));
  });

  test('is not touched by another large one at the same time', async () => {
    const { port, next } = await startUsing();
    const first = new RawClient(port).send(post(1, LARGE)).reply();
    const one = await next();
    const second = new RawClient(port).send(post(2, LARGE)).reply();
    const two = await next();
    one.finish();
    two.finish();
    expect([(await first).body, (await second).body]).toEqual([String(LARGE), String(2 * LARGE)]);
  });

  test('shares its memory with the next large one, which sees only its own bytes', async () => {
    const { port, next } = await startUsing();
    const first = new RawClient(port).send(post(9, LARGE)).reply();
    const one = await next();
    one.finish();
    await first;
    const second = new RawClient(port).send(post(1, LARGE - 1000)).reply();
    const two = await next();
    expect(two.bytes.buffer).toBe(one.bytes.buffer);
    two.finish();
    expect((await second).body).toBe(String(LARGE - 1000));
  });

  test('gives its memory back when its use fails', async () => {
    const { port, next } = await startUsing();
    const first = new RawClient(port).send(post(9, LARGE)).reply();
    const one = await next();
    one.finish(new Error('no'));
    expect((await first).status).toBe(500);
    const second = new RawClient(port).send(post(1, LARGE)).reply();
    const two = await next();
    expect(two.bytes.buffer).toBe(one.bytes.buffer);
    two.finish();
    expect((await second).body).toBe(String(LARGE));
  });

  test('whose client leaves half way gives its memory back', async () => {
    const { port, next } = await startUsing();
    const first = new RawClient(port).send(post(9, LARGE)).reply();
    const one = await next();
    one.finish();
    await first;
    const leaver = new RawClient(port).send(post(9, LARGE).subarray(0, LARGE - 1));
    leaver.socket.end();
    await expect.poll(() => echo?.outcomes.length).toBe(2);
    const second = new RawClient(port).send(post(1, LARGE)).reply();
    const two = await next();
    expect(two.bytes.buffer).toBe(one.bytes.buffer);
    two.finish();
    expect((await second).body).toBe(String(LARGE));
  });
});
