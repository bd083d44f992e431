import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Http2Liveness } from '../../../src/client/http2-liveness.ts';

const TIMING = { watchMs: 5000, pingAfterMs: 10_000, pongMs: 10_000 };

describe('Http2Liveness', () => {
  let pings: number[];
  let dead: number[];
  let isWaiting: boolean;
  let liveness: Http2Liveness;

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    [pings, dead, isWaiting] = [[], [], true];
    liveness = new Http2Liveness(
      TIMING,
      () => isWaiting,
      () => pings.push(Date.now()),
      (silentMs) => dead.push(silentMs),
    );
  });
  afterEach(() => {
    liveness.stop();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('tells of a peer that answers nothing, within 25 seconds', () => {
    vi.advanceTimersByTime(20_000);
    expect([pings, dead]).toEqual([[10_000], [20_000]]);
  });

  it('asks nothing while there is nothing to wait for, or bytes come', () => {
    isWaiting = false;
    vi.advanceTimersByTime(60_000);
    isWaiting = true;
    for (let turn = 0; turn < 10; turn++) {
      liveness.heard();
      vi.advanceTimersByTime(5000);
    }
    expect([pings, dead]).toEqual([[], []]);
  });

  it('asks ever more rarely while only signs of life come, as servers of gRPC demand, and soon again after more than that', () => {
    const until = (ms: number): void => {
      while (Date.now() < ms) {
        const before = pings.length;
        vi.advanceTimersByTime(5000);
        if (pings.length > before) liveness.heard();
      }
    };
    until(1_200_000);
    expect(dead).toEqual([]);
    // gRPC's servers forgive two questions that come sooner than five minutes after the last.
    const soon = pings.slice(1).filter((at, index) => at - pings[index]! < 300_000);
    expect(soon.length).toBeLessThanOrEqual(2);
    liveness.heard();
    const before = pings.length;
    vi.advanceTimersByTime(5000);
    vi.advanceTimersByTime(10_000);
    expect(pings.length).toBe(before + 1);
  });
});
