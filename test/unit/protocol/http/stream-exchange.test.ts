import { afterEach, expect, it, vi } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { StreamExchange } from '../../../../src/protocol/http/stream-exchange.ts';
import { idleConnection, loneStream } from '../http2/harness.ts';

const STEP_BYTES = 1 << 20;

afterEach(() => {
  vi.useRealTimers();
});

it('a client that takes a large body slowly gets all of it', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const reset = vi.fn();
  const stream = loneStream({ reset });
  const exchange = new StreamExchange(
    stream,
    { headers: {}, connection: idleConnection(), route: '/', params: {} },
    { limits: { maxBodyBytes: 1, bodyTimeoutMs: 60_000 }, log: SILENT_LOGGER, onEnd: () => undefined },
  );
  exchange.reply({ status: 200, headers: {}, body: [new Uint8Array(3 * STEP_BYTES)] });
  for (let step = 0; step < 2; step++) {
    vi.advanceTimersByTime(40_000);
    stream.sent(STEP_BYTES);
    exchange.watch(performance.now());
  }
  expect(reset).not.toHaveBeenCalled();
  vi.advanceTimersByTime(60_000);
  exchange.watch(performance.now());
  expect(reset).toHaveBeenCalledOnce();
});
