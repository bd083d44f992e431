import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer, Lane } from '../../../src/bench/connection.ts';
import { runLoadPhase, type LoadPhaseOptions } from '../../../src/bench/load-phase.ts';

const RIGHT: Answer = { failure: undefined, bytes: 1 };

/** Answers each request after so many milliseconds of virtual time; never when that is Infinity. */
class FakeLane implements Lane {
  readonly #answerAfterMs: (count: number) => number;
  readonly #answer: Answer;
  sent = 0;
  #done: ((answer: Answer) => void) | undefined;
  isOverlapped = false;

  constructor(answerAfterMs: number | ((count: number) => number), answer: Answer = RIGHT) {
    this.#answerAfterMs = typeof answerAfterMs === 'number' ? () => answerAfterMs : answerAfterMs;
    this.#answer = answer;
  }

  send(_message: Buffer, done: (answer: Answer) => void): void {
    if (this.#done !== undefined) this.isOverlapped = true;
    this.#done = done;
    const afterMs = this.#answerAfterMs(this.sent++);
    if (afterMs === Infinity) return;
    setTimeout(() => {
      this.#settle(this.#answer);
    }, afterMs);
  }

  abort(failure: string): void {
    this.#settle({ failure, bytes: 0 });
  }

  close(): void {
    this.#done = undefined;
  }

  #settle(answer: Answer): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(answer);
  }
}

interface Heard {
  readonly failures: (string | undefined)[];
  readonly messages: number[];
  readonly latencies: number[];
}

function listen(): Heard & Pick<LoadPhaseOptions, 'onAnswer'> {
  const heard: Heard = { failures: [], messages: [], latencies: [] };
  return {
    ...heard,
    onAnswer: ({ failure }, message, latencyMs) => {
      heard.failures.push(failure);
      heard.messages.push(message);
      heard.latencies.push(latencyMs);
    },
  };
}

const MESSAGES = ['a', 'b', 'c'].map((text) => Buffer.from(text));

function options(lanes: Lane[], more: Partial<LoadPhaseOptions>): LoadPhaseOptions {
  return {
    lanes,
    messages: MESSAGES,
    firstMessage: 0,
    durationMs: Infinity,
    requests: Infinity,
    timeoutMs: 1000,
    signal: new AbortController().signal,
    onAnswer: () => undefined,
    ...more,
  };
}

function every(ms: number): () => number {
  let next = 0;
  return () => ms * next++;
}

describe('runLoadPhase', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('closed loop: sends exactly the requests asked for, messages in turn, one at a time on each lane', async () => {
    const lanes = [new FakeLane(3), new FakeLane(7)];
    const heard = listen();
    const running = runLoadPhase(options(lanes, { requests: 10, firstMessage: 2, onAnswer: heard.onAnswer }));
    await vi.runAllTimersAsync();
    expect((await running).sent).toBe(10);
    expect(heard.failures).toEqual(new Array(10).fill(undefined));
    expect([...heard.messages].sort()).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
    expect(lanes.some((lane) => lane.isOverlapped)).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('closed loop: sends until the time is over and waits for the last answer', async () => {
    const heard = listen();
    const running = runLoadPhase(options([new FakeLane(30)], { durationMs: 100, onAnswer: heard.onAnswer }));
    await vi.runAllTimersAsync();
    const { sent, elapsedMs } = await running;
    expect(sent).toBe(4);
    expect(heard.failures).toHaveLength(4);
    expect(elapsedMs).toBeCloseTo(120, 0);
  });

  it('open loop: latency counts from the time a request was due, not from when a lane was free', async () => {
    // Due each 10 ms; the first answer takes 100 ms and holds the only lane.
    const lane = new FakeLane((count) => (count === 0 ? 100 : 1));
    const heard = listen();
    const openLoop = { arrivals: every(10), maxLanes: 1, openLane: () => lane };
    const running = runLoadPhase(options([], { openLoop, durationMs: 150, onAnswer: heard.onAnswer }));
    await vi.runAllTimersAsync();
    await running;
    expect(heard.latencies[0]).toBeCloseTo(100, 0);
    // Whoever only looks at the sending sees 1 ms here: the omission.
    expect(heard.latencies[1] ?? 0).toBeGreaterThan(89);
  });

  it('open loop: keeps the pace whatever the server does, with more lanes, and tells what was never sent', async () => {
    const lanes: Lane[] = [];
    const openLoop = { arrivals: every(10), maxLanes: 5, openLane: () => new FakeLane(Infinity) };
    const running = runLoadPhase(options(lanes, { openLoop, durationMs: 100, timeoutMs: 500 }));
    await vi.runAllTimersAsync();
    const { sent, unsent } = await running;
    expect(lanes).toHaveLength(5);
    expect({ sent, unsent }).toEqual({ sent: 5, unsent: 5 });
  });

  it('a request without an answer is given up after the timeout', async () => {
    const heard = listen();
    const running = runLoadPhase(options([new FakeLane(Infinity)], { requests: 2, timeoutMs: 200, onAnswer: heard.onAnswer }));
    await vi.runAllTimersAsync();
    await running;
    expect(heard.failures).toEqual(['timeout', 'timeout']);
  });

  it('a server that is away is not asked in a tight loop', async () => {
    const lane = new FakeLane(0, { failure: 'connection refused', bytes: 0 });
    const running = runLoadPhase(options([lane], { durationMs: 1000 }));
    await vi.runAllTimersAsync();
    await running;
    expect(lane.sent).toBeLessThanOrEqual(11);
  });

  it('stops sending when it is broken off, and waits for answers no longer than 2 s', async () => {
    const stop = new AbortController();
    const heard = listen();
    const running = runLoadPhase(
      options([new FakeLane(50), new FakeLane(Infinity)], { timeoutMs: 60_000, signal: stop.signal, onAnswer: heard.onAnswer }),
    );
    await vi.advanceTimersByTimeAsync(120);
    stop.abort();
    await vi.advanceTimersByTimeAsync(2000);
    const { sent } = await running;
    expect(sent).toBe(4);
    expect(heard.failures).toEqual([undefined, undefined, undefined, 'broken off']);
  });

  it('sends nothing when it is broken off before it starts', async () => {
    const lane = new FakeLane(1);
    expect(await runLoadPhase(options([lane], { requests: 5, signal: AbortSignal.abort() }))).toMatchObject({ sent: 0 });
    expect(lane.sent).toBe(0);
  });
});
