import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER, type RequestContext } from '../../../src/core/context.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import {
  createScheduler,
  type BatchPolicy,
  type Job,
  type QueuePolicy,
  type Scheduler,
  type SchedulerObserver,
} from '../../../src/scheduler/index.ts';
import { FakeRunner } from './fake-runner.ts';
import { VirtualClock, settle } from './virtual-clock.ts';

const POLICY: BatchPolicy = { maxBatchSize: 8, preferredBatchSizes: [], maxQueueDelayMs: 0 };

interface Setup {
  readonly clock: VirtualClock;
  readonly runner: FakeRunner;
  readonly scheduler: Scheduler;
  readonly submit: (id: string, rows?: number, width?: number, job?: Partial<Job>, deadline?: number) => Promise<unknown>;
}

/** A model that has already said how many rows it takes, and is busy with a first request when `isBusy`. */
async function setUp(
  options: {
    readonly batching?: Partial<BatchPolicy>;
    readonly queue?: Partial<QueuePolicy>;
    readonly maxRows?: number;
    readonly observer?: SchedulerObserver;
  } = {},
  isBusy = true,
): Promise<Setup> {
  const clock = new VirtualClock();
  const runner = new FakeRunner(1);
  const { observer } = options;
  const scheduler = createScheduler(
    {
      modelName: 'm',
      maxQueueSize: 100,
      countsRows: true,
      batching: { ...POLICY, ...options.batching },
      queue: { priorityLevels: 1, defaultPriority: 1, timeoutMs: Infinity, timeoutAction: 'reject', ...options.queue },
    },
    { runner, clock, log: SILENT_LOGGER, ...(observer === undefined ? {} : { observer }) },
  );
  const submit: Setup['submit'] = (id, rows = 1, width = 2, job = {}, deadline = Infinity) => {
    const data = new Float32Array(rows * width);
    const request: InferRequest = { modelName: 'm', id, inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, width], data }] };
    const ctx: RequestContext = { id, protocol: 'v2-rest', signal: new AbortController().signal, deadline, headers: {} };
    return scheduler.submit({ verb: 'infer', request, ...job }, ctx).catch((error: unknown) => error);
  };
  runner.maxRows = options.maxRows ?? 32;
  void submit('first');
  runner.at(0).answer();
  await settle();
  runner.runs.length = 0;
  if (isBusy) {
    void submit('busy');
    expect(runner.batches()).toEqual(['busy']);
  }
  return { clock, runner, scheduler, submit };
}

const finish = async (runner: FakeRunner): Promise<void> => {
  runner.runs.at(-1)?.answer();
  await settle();
};

describe('batches', () => {
  it('are what arrived while the last one ran; a lone request never waits', async () => {
    const { runner, submit } = await setUp();
    for (const id of ['a', 'b', 'c']) void submit(id);
    await finish(runner);
    await finish(runner);
    void submit('d');
    expect(runner.batches()).toEqual(['busy', 'a b c', 'd']);
  });

  it('are one request each until the model says that it takes more, and again when it takes it back', async () => {
    const { runner, submit } = await setUp();
    runner.maxRows = undefined;
    for (const id of ['a', 'b', 'c', 'd']) void submit(id);
    await finish(runner);
    runner.maxRows = 2;
    for (let i = 0; i < 4; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'a', 'b c', 'd']);
  });

  it('are one request each again when the model came back from elsewhere: a new process has to say it first', async () => {
    const { runner, submit } = await setUp({}, false);
    runner.capacity = 0;
    for (const id of ['a', 'b', 'c', 'd']) void submit(id);
    runner.capacity = 1;
    for (let i = 0; i < 2; i++) await finish(runner);
    expect(runner.batches()).toEqual(['a', 'b c d']);
  });

  it('have at most the rows of the option and of the model; a request with more goes alone', async () => {
    const { runner, submit } = await setUp({ maxRows: 4 });
    void submit('a', 3);
    void submit('b', 2);
    void submit('c', 9);
    void submit('d', 2);
    for (let i = 0; i < 4; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'a', 'b', 'c', 'd']);
  });

  it('hold one shape each: other shapes in between neither stop them nor wait for them', async () => {
    const { runner, submit } = await setUp();
    for (const [id, width] of [
      ['a', 2],
      ['b', 3],
      ['c', 2],
      ['d', 3],
      ['e', 4],
      ['f', 2],
    ] as const)
      void submit(id, 1, width);
    for (let i = 0; i < 4; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'a c f', 'b d', 'e']);
  });

  it('always hold the oldest request, so that a rare shape is not passed over for ever', async () => {
    const { runner, submit } = await setUp({ maxRows: 2 });
    void submit('rare', 1, 9);
    for (let i = 0; i < 6; i++) void submit(`often${String(i)}`);
    await finish(runner);
    expect(runner.batches().at(-1)).toBe('rare');
  });

  it('leave out who is overdue and who has left', async () => {
    const { clock, runner, submit } = await setUp();
    void submit('a');
    const late = submit('b', 1, 2, {}, 5);
    void submit('c');
    clock.block(6);
    await finish(runner);
    expect(runner.batches().at(-1)).toBe('a c');
    expect(await late).toMatchObject({ reason: 'deadline_exceeded' });
  });

  it('are cut to the largest preferred size that they reach', async () => {
    const { runner, submit } = await setUp({ batching: { preferredBatchSizes: [2, 4] } });
    for (const id of 'abcdefg') void submit(id);
    for (let i = 0; i < 4; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'a b c d', 'e f', 'g']);
  });

  it('are told of with their rows, and each run of the engine by itself', async () => {
    const seen: unknown[] = [];
    const observer: SchedulerObserver = {
      batchStarted: (size, waitMs, rows) => seen.push([size, waitMs.length, rows]),
      executed: ({ members, rows }) => seen.push({ members, rows }),
    };
    const { runner, submit } = await setUp({ observer });
    seen.length = 0;
    void submit('a', 2);
    void submit('b', 3);
    await finish(runner);
    await finish(runner);
    expect(seen).toEqual([{ members: 1, rows: 1 }, [2, 2, 5], { members: 2, rows: 5 }]);
  });
});

describe('a queue delay', () => {
  const batching = { maxQueueDelayMs: 10, maxBatchSize: 4 };

  it('keeps a free instance waiting for company, for as long as it says', async () => {
    const { clock, runner, submit } = await setUp({ batching }, false);
    void submit('a');
    await clock.advance(6);
    void submit('b');
    expect(runner.batches()).toEqual([]);
    await clock.advance(4);
    expect(runner.batches()).toEqual(['a b']);
    await finish(runner);
    expect(clock.timers).toBe(0);
  });

  it('ends when a shape has enough rows, also behind another one that goes on waiting', async () => {
    const { clock, runner, submit } = await setUp({ batching }, false);
    void submit('other', 1, 7);
    for (const id of 'abcd') void submit(id);
    expect(runner.batches()).toEqual(['a b c d']);
    await clock.advance(10);
    await finish(runner);
    expect(runner.batches()).toEqual(['a b c d', 'other']);
  });

  it('is over when the model is drained', async () => {
    const { runner, scheduler, submit } = await setUp({ batching }, false);
    void submit('a');
    void scheduler.drain(1000);
    expect(runner.batches()).toEqual(['a']);
  });
});

describe('levels of priority', () => {
  it('are served from the first on, each in the order of arrival; unknown ones are the default', async () => {
    const { runner, submit } = await setUp({ queue: { priorityLevels: 3, defaultPriority: 2 } });
    void submit('low', 1, 2, { priority: 'low' });
    void submit('third', 1, 2, { priority: 3 });
    void submit('default', 1, 2, { priority: 0 });
    void submit('unknown', 1, 2, { priority: 9 });
    void submit('none');
    void submit('first', 1, 2, { priority: 1 });
    for (let i = 0; i < 6; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'first', 'default unknown none', 'third', 'low']);
  });
});

describe('a longest wait in the queue', () => {
  it('answers deadline_exceeded, without touching the model', async () => {
    const { clock, runner, submit } = await setUp({ queue: { timeoutMs: 20 } });
    const late = submit('a');
    await clock.advance(20);
    expect(await late).toMatchObject({ reason: 'deadline_exceeded' });
    void submit('b');
    await finish(runner);
    await clock.advance(100);
    await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'b']);
  });

  it('lets all others go first where it is to delay; the request may ask for less', async () => {
    const { clock, runner, submit } = await setUp({ maxRows: 1, queue: { timeoutMs: 20, timeoutAction: 'delay' } });
    void submit('a');
    void submit('b', 1, 2, { delayAfterMs: 5 });
    await clock.advance(10);
    void submit('c');
    await finish(runner);
    await clock.advance(15);
    void submit('d');
    for (let i = 0; i < 4; i++) await finish(runner);
    expect(runner.batches()).toEqual(['busy', 'a', 'c', 'd', 'b']);
  });
});
