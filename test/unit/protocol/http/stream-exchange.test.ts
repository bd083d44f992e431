import { once } from 'node:events';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { PassThrough } from 'node:stream';
import { afterEach, expect, it, vi } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { StreamExchange } from '../../../../src/protocol/http/stream-exchange.ts';
import { Http2Connection } from '../../../../src/protocol/http2/connection.ts';

const PIECE_BYTES = 1 << 20;

afterEach(() => {
  vi.useRealTimers();
});

it('a client that takes a large body slowly gets all of it', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const close = vi.fn();
  const stream = Object.assign(new PassThrough({ highWaterMark: 1, autoDestroy: false }), { respond: vi.fn(), close });
  const exchange = new StreamExchange(
    stream as unknown as ServerHttp2Stream,
    { headers: {}, connection: new Http2Connection(new PassThrough() as unknown as ServerHttp2Session), route: '/', params: {} },
    { limits: { maxBodyBytes: 1, bodyTimeoutMs: 60_000 }, log: SILENT_LOGGER, onEnd: () => undefined },
  );
  void exchange.reply({ status: 200, headers: {}, body: [new Uint8Array(3 * PIECE_BYTES)] });
  for (let piece = 0; piece < 2; piece++) {
    vi.advanceTimersByTime(40_000);
    const drained = once(stream, 'drain');
    stream.read();
    await drained;
    exchange.watch(performance.now());
  }
  expect(close).not.toHaveBeenCalled();
  vi.advanceTimersByTime(60_000);
  exchange.watch(performance.now());
  expect(close).toHaveBeenCalledOnce();
});
