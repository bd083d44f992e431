import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { watchPredictor } from '../../../../src/engine/remote/predictor-health.ts';

describe('watchPredictor', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Answers in turn, the last one for ever. */
  function predictor(...answers: boolean[]): { asked: number; closed: number; isReady: () => Promise<boolean>; close: () => void } {
    const fake = {
      asked: 0,
      closed: 0,
      isReady: () => Promise.resolve(answers[Math.min(fake.asked++, answers.length - 1)] ?? false),
      close: () => {
        fake.closed++;
      },
    };
    return fake;
  }

  it('asks at once and is not ready before the answer', async () => {
    const health = watchPredictor(predictor(true), 'host', SILENT_LOGGER, { intervalMs: 5000 });
    expect(health.isReady()).toBe(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(health.isReady()).toBe(true);
    health.stop();
  });

  it('asks at the interval while ready, and sees the predictor go', async () => {
    const fake = predictor(true, true, false);
    const health = watchPredictor(fake, 'host', SILENT_LOGGER, { intervalMs: 5000 });
    await vi.advanceTimersByTimeAsync(9999);
    expect([fake.asked, health.isReady()]).toEqual([2, true]);
    await vi.advanceTimersByTimeAsync(1);
    expect([fake.asked, health.isReady()]).toEqual([3, false]);
    health.stop();
  });

  it('backs off to steps of a second while not ready', async () => {
    const times: number[] = [];
    const started = Date.now();
    const fake = {
      ...predictor(false),
      isReady: () => {
        times.push(Date.now() - started);
        return Promise.resolve(false);
      },
    };
    const health = watchPredictor(fake, 'host', SILENT_LOGGER, { intervalMs: 60_000 });
    await vi.advanceTimersByTimeAsync(4500);
    expect(times).toEqual([0, 100, 300, 700, 1500, 2500, 3500, 4500]);
    health.stop();
  });

  it('asks one question at a time', async () => {
    let asked = 0;
    const fake = { isReady: () => new Promise<boolean>(() => asked++), close: () => undefined };
    const health = watchPredictor(fake, 'host', SILENT_LOGGER, { intervalMs: 10 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toBe(1);
    health.stop();
  });

  it('asks no more after stop, not even when an answer is still to come, and closes', async () => {
    const fake = predictor(true);
    const health = watchPredictor(fake, 'host', SILENT_LOGGER, { intervalMs: 10 });
    health.stop();
    await vi.advanceTimersByTimeAsync(1000);
    expect([fake.asked, fake.closed, health.isReady()]).toEqual([1, 1, false]);
  });
});
