import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError, isServingError } from '../../../src/core/errors.ts';
import { createScheduler, type BatchRunner } from '../../../src/scheduler/index.ts';
import { requestOf, responseTo } from './fake-runner.ts';
import { VirtualClock } from './virtual-clock.ts';

interface PlannedRequest {
  readonly arrivesAt: number;
  /** After arrival; absent: none. */
  readonly deadlineAfter: number | undefined;
  readonly cancelAfter: number | undefined;
  readonly runMs: number;
  /** How long a stopped run goes on; absent: it does not listen. */
  readonly stopMs: number | undefined;
  readonly outcome: 'ok' | 'fail' | 'reject';
}

interface Schedule {
  readonly maxQueueSize: number;
  readonly capacity: number;
  readonly requests: readonly PlannedRequest[];
  readonly capacityChanges: readonly { readonly at: number; readonly capacity: number }[];
  readonly drainAt: number;
  readonly graceMs: number;
}

const ms = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

const SCHEDULE: fc.Arbitrary<Schedule> = fc.record({
  maxQueueSize: fc.integer({ min: 0, max: 6 }),
  capacity: fc.integer({ min: 0, max: 3 }),
  requests: fc.array(
    fc.record({
      arrivesAt: ms(60),
      deadlineAfter: fc.option(ms(40), { nil: undefined }),
      cancelAfter: fc.option(ms(40), { nil: undefined }),
      runMs: ms(30),
      stopMs: fc.option(ms(10), { nil: undefined }),
      outcome: fc.constantFrom('ok' as const, 'ok' as const, 'fail' as const, 'reject' as const),
    }),
    { maxLength: 25 },
  ),
  capacityChanges: fc.array(fc.record({ at: ms(90), capacity: fc.integer({ min: 0, max: 3 }) }), { maxLength: 4 }),
  drainAt: ms(120),
  graceMs: ms(80),
});

/** Runs last as planned on the virtual clock; breaches of what a runner may expect are collected. */
class PlannedRunner implements BatchRunner {
  readonly breaches: string[] = [];
  readonly started: number[] = [];
  inFlight = 0;
  #capacity: number;
  #listener: () => void = () => undefined;
  readonly #clock: VirtualClock;
  readonly #plan: readonly PlannedRequest[];

  constructor(capacity: number, clock: VirtualClock, plan: readonly PlannedRequest[]) {
    this.#capacity = capacity;
    this.#clock = clock;
    this.#plan = plan;
  }

  get capacity(): number {
    return this.#capacity;
  }

  set capacity(value: number) {
    this.#capacity = value;
    this.#listener();
  }

  onCapacityChange(listener: () => void): void {
    this.#listener = listener;
  }

  run({ members }: Batch): Promise<BatchResult> {
    const member = members[0]!;
    const index = Number(member.request.id);
    const { arrivesAt, deadlineAfter = Infinity, cancelAfter = Infinity, runMs, stopMs, outcome } = this.#plan[index]!;
    const now = this.#clock.now();
    if (members.length !== 1) this.breaches.push(`batch of ${String(members.length)}`);
    if (this.started.includes(index)) this.breaches.push(`request ${String(index)} ran twice`);
    if (now >= arrivesAt + deadlineAfter) this.breaches.push(`request ${String(index)} ran at ${String(now)}, after its deadline`);
    if (now > arrivesAt + cancelAfter || member.signal.aborted) this.breaches.push(`request ${String(index)} ran after its client left`);
    if (++this.inFlight > this.#capacity) this.breaches.push(`${String(this.inFlight)} runs at once on ${String(this.#capacity)}`);
    this.started.push(index);
    return new Promise((resolve, reject) => {
      const end = (ok: boolean): void => {
        cancelEnd();
        this.inFlight--;
        const timings = { preprocessMs: 0, predictMs: runMs, postprocessMs: 0 };
        if (outcome === 'reject') reject(new Error('runner broke'));
        else if (ok && outcome === 'ok') resolve({ responses: [{ ok: true, value: responseTo(member.request) }], timings });
        else resolve({ responses: [{ ok: false, error: new ServingError('model_failed', `run ${String(index)}`) }], timings });
      };
      const cancelEnd = this.#clock.setTimer(runMs, () => {
        end(true);
      });
      if (stopMs === undefined) return;
      member.signal.addEventListener('abort', () => {
        cancelEnd();
        this.#clock.setTimer(stopMs, () => {
          end(false);
        });
      });
    });
  }
}

async function play(schedule: Schedule): Promise<void> {
  const clock = new VirtualClock();
  const { requests } = schedule;
  const runner = new PlannedRunner(schedule.capacity, clock, requests);
  const scheduler = createScheduler({ modelName: 'm', maxQueueSize: schedule.maxQueueSize }, { runner, clock, log: SILENT_LOGGER });
  const outcomes = new Map<number, string>();
  const order: number[] = [];
  const check = (): void => {
    if (scheduler.queueDepth > schedule.maxQueueSize) runner.breaches.push(`${String(scheduler.queueDepth)} requests wait`);
    if (scheduler.queueDepth > 0 && runner.inFlight < runner.capacity) runner.breaches.push('a request waits beside a free slot');
  };
  requests.forEach((request, index) => {
    clock.setTimer(request.arrivesAt, () => {
      order.push(index);
      const client = new AbortController();
      const deadline = request.arrivesAt + (request.deadlineAfter ?? Infinity);
      const ctx = { id: String(index), protocol: 'v2-rest' as const, signal: client.signal, deadline, headers: {}, log: SILENT_LOGGER };
      scheduler.submit({ verb: 'infer', request: requestOf(String(index)) }, ctx).then(
        (response) => {
          expect(outcomes.has(index)).toBe(false);
          expect(response.id).toBe(String(index));
          outcomes.set(index, 'ok');
        },
        (error: unknown) => {
          expect(outcomes.has(index)).toBe(false);
          if (!isServingError(error)) throw error;
          if (error.reason === 'model_failed') expect(error.message).toBe(`run ${String(index)}`);
          outcomes.set(index, error.reason);
        },
      );
      if (request.cancelAfter !== undefined) {
        clock.setTimer(request.cancelAfter, () => {
          client.abort();
        });
      }
    });
  });
  for (const { at, capacity } of schedule.capacityChanges) {
    clock.setTimer(at, () => {
      runner.capacity = capacity;
    });
  }
  let drained: Promise<void> | undefined;
  clock.setTimer(schedule.drainAt, () => {
    drained = scheduler.drain(schedule.graceMs);
  });
  for (let now = 0; now < schedule.drainAt + schedule.graceMs; now++) {
    await clock.advance(1);
    // Capacity may fall below what is running: then nothing new starts, which the runner itself checks.
    check();
  }
  await drained;
  // Whatever was submitted has its answer when drained, and what comes later is refused.
  expect(order.every((index) => outcomes.has(index))).toBe(true);
  await clock.advance(1000);
  expect([...outcomes.keys()].sort((a, b) => a - b)).toEqual(requests.map((_, index) => index));
  expect([scheduler.queueDepth, scheduler.running, clock.timers]).toEqual([0, 0, 0]);
  expect(runner.breaches).toEqual([]);
  // First come, first served.
  expect(runner.started).toEqual(order.filter((index) => runner.started.includes(index)));
}

it('scheduler: in any schedule every request settles once with its own answer, within all bounds, and drain settles the rest', async () => {
  await fc.assert(fc.asyncProperty(SCHEDULE, play), { numRuns: 2000 });
}, 60_000);
