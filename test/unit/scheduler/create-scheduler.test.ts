import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER, type RequestContext } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferResponse } from '../../../src/core/infer.ts';
import { createScheduler, type Job, type Scheduler, type SchedulerObserver } from '../../../src/scheduler/index.ts';
import { FakeRunner, requestOf, responseTo } from './fake-runner.ts';
import { VirtualClock, settle } from './virtual-clock.ts';

interface Setup {
  readonly clock: VirtualClock;
  readonly runner: FakeRunner;
  readonly scheduler: Scheduler;
  readonly seen: string[];
  readonly submit: (id: string, ctx?: { readonly signal?: AbortSignal; readonly deadline?: number }, job?: Partial<Job>) => Promise<InferResponse>;
}

function setUp(options: { readonly capacity?: number; readonly maxQueueSize?: number } = {}): Setup {
  const clock = new VirtualClock();
  const runner = new FakeRunner(options.capacity ?? 1);
  const seen: string[] = [];
  const observer: SchedulerObserver = {
    queued: (depth) => seen.push(`queued ${String(depth)}`),
    batchStarted: (size, waitMs) => seen.push(`started ${String(size)} after ${waitMs.join()}`),
    batchFinished: (size, runMs) => seen.push(`finished ${String(size)} in ${String(runMs)}`),
    rejected: (reason) => seen.push(`rejected ${reason}`),
    measured: (measurements) => seen.push(`measured ${measurements.map(({ name }) => name).join()}`),
  };
  const scheduler = createScheduler({ modelName: 'm', maxQueueSize: options.maxQueueSize ?? 1000 }, { runner, observer, clock, log: SILENT_LOGGER });
  return {
    clock,
    runner,
    scheduler,
    seen,
    submit: (id, { signal = new AbortController().signal, deadline = Infinity } = {}, job = {}) => {
      const ctx: RequestContext = { id, protocol: 'v2-rest', signal, deadline, headers: {} };
      const answer = scheduler.submit({ verb: 'infer', request: requestOf(id), ...job }, ctx);
      answer.catch(() => undefined);
      return answer;
    },
  };
}

const reasonOf = async (answer: Promise<unknown>): Promise<string> => {
  try {
    await answer;
    return 'ok';
  } catch (error) {
    return error instanceof ServingError ? error.reason : String(error);
  }
};

describe('createScheduler', () => {
  it('runs a request at once when a slot is free and answers with its own response', async () => {
    const { runner, scheduler, submit, seen } = setUp();
    const answer = submit('a');
    expect(runner.ids()).toEqual(['a']);
    expect([scheduler.queueDepth, scheduler.running]).toEqual([0, 1]);
    runner.at(0).answer();
    expect(await answer).toEqual(responseTo(requestOf('a')));
    await settle();
    expect([scheduler.queueDepth, scheduler.running]).toEqual([0, 0]);
    expect(seen).toEqual(['started 1 after 0', 'finished 1 in 0']);
  });

  it('runs waiting requests in the order they came, never more at once than the runner takes', async () => {
    const { clock, runner, scheduler, submit, seen } = setUp({ capacity: 2 });
    for (const id of ['a', 'b', 'c', 'd']) void submit(id);
    expect(runner.ids()).toEqual(['a', 'b']);
    expect(scheduler.queueDepth).toBe(2);
    await clock.advance(7);
    runner.at(1).answer();
    await settle();
    expect(runner.ids()).toEqual(['a', 'b', 'c']);
    expect(seen.slice(-3)).toEqual(['finished 1 in 7', 'started 1 after 7', 'queued 1']);
  });

  it('refuses with overloaded when the queue is full, and takes again when it is not', async () => {
    const { runner, submit, seen } = setUp({ maxQueueSize: 2 });
    for (const id of ['a', 'b', 'c']) void submit(id);
    const refused = submit('d');
    await expect(refused).rejects.toMatchObject({ reason: 'overloaded', message: 'Cannot queue request for model "m": queue is full (2 requests)' });
    expect(seen.at(-1)).toBe('rejected overloaded');
    runner.at(0).answer();
    await settle();
    const taken = submit('e');
    runner.at(1).answer();
    await settle();
    runner.at(2).answer();
    await settle();
    runner.at(3).answer();
    expect((await taken).id).toBe('e');
  });

  it('never touches the model for a request whose deadline passes in the queue', async () => {
    const { clock, runner, scheduler, submit } = setUp();
    void submit('a');
    const late = submit('b', { deadline: 50 });
    const patient = submit('c', { deadline: 500 });
    await clock.advance(50);
    await expect(late).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    expect(scheduler.queueDepth).toBe(1);
    runner.at(0).answer();
    await settle();
    expect(runner.ids()).toEqual(['a', 'c']);
    runner.at(1).answer();
    expect((await patient).id).toBe('c');
  });

  it('drops an expired request when a slot gets free before the late timer fires', async () => {
    const { clock, runner, submit } = setUp();
    void submit('a');
    const late = submit('b', { deadline: 50 });
    void submit('c');
    clock.block(60);
    runner.at(0).answer();
    await settle();
    expect(await reasonOf(late)).toBe('deadline_exceeded');
    expect(runner.ids()).toEqual(['a', 'c']);
  });

  it('refuses a request whose deadline has passed or whose client has left before it came', async () => {
    const { clock, runner, submit } = setUp();
    await clock.advance(10);
    expect(await reasonOf(submit('a', { deadline: 10 }))).toBe('deadline_exceeded');
    expect(await reasonOf(submit('b', { signal: AbortSignal.abort() }))).toBe('cancelled');
    expect(runner.runs).toHaveLength(0);
  });

  it('answers a running request at its deadline, tells the run to stop and keeps its slot until it has', async () => {
    const { clock, runner, scheduler, submit } = setUp();
    const answer = submit('a', { deadline: 50 });
    const next = submit('b');
    const member = runner.at(0).batch.members[0];
    expect(member?.signal.aborted).toBe(false);
    await clock.advance(50);
    expect(await reasonOf(answer)).toBe('deadline_exceeded');
    expect(member?.signal.aborted).toBe(true);
    expect([runner.runs.length, scheduler.running]).toEqual([1, 1]);
    runner.at(0).fail(new ServingError('cancelled', 'stopped'));
    await settle();
    expect(runner.ids()).toEqual(['a', 'b']);
    runner.at(1).answer();
    expect((await next).id).toBe('b');
  });

  it('answers a running request when its client leaves, and ignores what the run says later', async () => {
    const { runner, scheduler, submit, seen } = setUp();
    const client = new AbortController();
    const answer = submit('a', { signal: client.signal });
    client.abort();
    expect(await reasonOf(answer)).toBe('cancelled');
    expect(runner.at(0).batch.members[0]?.signal.aborted).toBe(true);
    runner.at(0).answer();
    await settle();
    expect(scheduler.running).toBe(0);
    expect(seen.filter((event) => event.startsWith('rejected'))).toEqual(['rejected cancelled']);
  });

  it('frees the place in the queue at once when a waiting client leaves', async () => {
    const { runner, scheduler, submit } = setUp({ maxQueueSize: 1 });
    void submit('a');
    const client = new AbortController();
    const gone = submit('b', { signal: client.signal });
    client.abort();
    expect(await reasonOf(gone)).toBe('cancelled');
    expect(scheduler.queueDepth).toBe(0);
    void submit('c');
    runner.at(0).answer();
    await settle();
    expect(runner.ids()).toEqual(['a', 'c']);
  });

  it('leaves no listener on the client signal, whatever the request came to', async () => {
    const { clock, runner, submit } = setUp({ maxQueueSize: 1 });
    const client = new AbortController();
    const { signal } = client;
    void submit('answered', { signal });
    void submit('expired', { signal, deadline: 5 });
    void submit('refused', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(2);
    await clock.advance(5);
    runner.at(0).answer();
    await settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('lets requests wait while the runner has no capacity and goes on when it has', async () => {
    const { runner, scheduler, submit } = setUp({ capacity: 0 });
    const answer = submit('a');
    void submit('b');
    expect([runner.runs.length, scheduler.queueDepth]).toEqual([0, 2]);
    runner.capacity = 1;
    expect(runner.ids()).toEqual(['a']);
    runner.at(0).answer();
    expect((await answer).id).toBe('a');
  });

  it('passes on what the run failed with and goes on with the next', async () => {
    const { runner, submit } = setUp();
    const lost = submit('a');
    const next = submit('b');
    runner.at(0).fail(new ServingError('executor_lost', 'Process of model "m" ended'));
    await expect(lost).rejects.toMatchObject({ reason: 'executor_lost' });
    await settle();
    runner.at(1).answer();
    expect((await next).id).toBe('b');
  });

  it('answers everybody with internal when a runner breaks its contract', async () => {
    const { runner, submit } = setUp({ capacity: 2 });
    const rejected = submit('a');
    const forgotten = submit('b');
    const next = submit('c');
    runner.at(0).reject(new Error('boom'));
    runner.at(1).answerNobody();
    expect(await reasonOf(rejected)).toBe('internal');
    expect(await reasonOf(forgotten)).toBe('internal');
    await settle();
    runner.at(2).answer();
    expect((await next).id).toBe('c');
  });

  it('holds one timer for all deadlines, set for the earliest', async () => {
    const { clock, submit } = setUp();
    const answers = [300, 100, 200, 100].map((deadline, i) => submit(String(i), { deadline }));
    expect(clock.timers).toBe(1);
    await clock.advance(100);
    expect(await Promise.all([answers[1], answers[3]].map((answer) => reasonOf(answer!)))).toEqual(['deadline_exceeded', 'deadline_exceeded']);
    expect(clock.timers).toBe(1);
    await clock.advance(200);
    expect(await Promise.all(answers.map(reasonOf))).toEqual(Array(4).fill('deadline_exceeded'));
    expect(clock.timers).toBe(0);
  });

  describe('drain', () => {
    it('resolves at once when nothing is there', async () => {
      const { scheduler, submit } = setUp();
      await scheduler.drain(1000);
      expect(await reasonOf(submit('a'))).toBe('server_not_ready');
    });

    it('answers what is queued and running, refuses what comes, and resolves after the last', async () => {
      const { clock, runner, scheduler, submit } = setUp();
      const running = submit('a');
      const queued = submit('b');
      let isDrained = false;
      const drained = scheduler.drain(1000).then(() => (isDrained = true));
      expect(await reasonOf(submit('c'))).toBe('server_not_ready');
      runner.at(0).answer();
      expect((await running).id).toBe('a');
      await settle();
      expect(isDrained).toBe(false);
      runner.at(1).answer();
      expect((await queued).id).toBe('b');
      await drained;
      expect(clock.timers).toBe(0);
    });

    it('rejects the rest with server_not_ready after the grace and tells its runs to stop', async () => {
      const { clock, runner, scheduler, submit } = setUp();
      const running = submit('a');
      const queued = submit('b');
      const drained = scheduler.drain(1000);
      await clock.advance(1000);
      await drained;
      expect(await Promise.all([reasonOf(running), reasonOf(queued)])).toEqual(['server_not_ready', 'server_not_ready']);
      expect(runner.at(0).batch.members[0]?.signal.aborted).toBe(true);
      runner.at(0).answer();
      await settle();
      expect(runner.runs).toHaveLength(1);
    });

    it('ends at the earliest of the graces it was given', async () => {
      const { clock, scheduler, submit } = setUp({ capacity: 0 });
      const queued = submit('a');
      const first = scheduler.drain(30_000);
      const second = scheduler.drain(100);
      const third = scheduler.drain(5000);
      await clock.advance(100);
      await Promise.all([first, second, third]);
      expect(await reasonOf(queued)).toBe('server_not_ready');
    });

    it('resolves when the last waiting request expires or is cancelled', async () => {
      const { clock, scheduler, submit } = setUp({ capacity: 0 });
      const client = new AbortController();
      void submit('a', { deadline: 10 });
      void submit('b', { signal: client.signal });
      const drained = scheduler.drain(1000);
      await clock.advance(10);
      client.abort();
      await drained;
      expect(clock.now()).toBe(10);
    });
  });

  describe('low priority', () => {
    const low = { priority: 'low' } as const;

    it('starts only when nothing normal waits, and at once when a slot is free', async () => {
      const { runner, submit } = setUp({ capacity: 1 });
      void submit('low1', {}, low);
      void submit('low2', {}, low);
      void submit('a');
      void submit('b');
      for (let i = 0; i < 4; i++) {
        runner.at(i).answer();
        await settle();
      }
      expect(runner.ids()).toEqual(['low1', 'a', 'b', 'low2']);
    });

    it('has a queue of its own length, so that it takes no room from normal requests', async () => {
      const { submit, scheduler } = setUp({ capacity: 1, maxQueueSize: 1 });
      void submit('running');
      void submit('low1', {}, low);
      const refused = submit('low2', {}, low);
      const queued = submit('a');
      const alsoRefused = submit('b');
      expect(await Promise.all([reasonOf(refused), reasonOf(alsoRefused)])).toEqual(['overloaded', 'overloaded']);
      expect(scheduler.queueDepth).toBe(2);
      queued.catch(() => undefined);
    });

    it('keeps deadlines, cancellation and drain', async () => {
      const { clock, runner, scheduler, submit } = setUp();
      const client = new AbortController();
      void submit('running');
      const late = submit('late', { deadline: 5 }, low);
      const gone = submit('gone', { signal: client.signal }, low);
      const left = submit('left', {}, low);
      client.abort();
      await clock.advance(5);
      expect(await Promise.all([reasonOf(late), reasonOf(gone)])).toEqual(['deadline_exceeded', 'cancelled']);
      const drained = scheduler.drain(100);
      runner.at(0).answer();
      await settle();
      expect(runner.ids()).toEqual(['running', 'left']);
      runner.at(1).answer();
      await drained;
      expect(await reasonOf(left)).toBe('ok');
    });
  });

  describe('explanations', () => {
    const explain = { verb: 'explain' } as const;

    it('run one at a time beside the capacity, and hold none of it', async () => {
      const { runner, scheduler, submit } = setUp({ capacity: 1 });
      void submit('e1', {}, explain);
      void submit('e2', {}, explain);
      void submit('a');
      expect(runner.ids()).toEqual(['e1', 'a']);
      expect(runner.at(0).batch.members[0]).toMatchObject({ verb: 'explain', ctx: { id: 'e1' } });
      expect([scheduler.running, scheduler.queueDepth]).toEqual([2, 1]);
      runner.at(1).answer();
      await settle();
      expect(runner.runs).toHaveLength(2);
      runner.at(0).answer();
      await settle();
      expect(runner.ids()).toEqual(['e1', 'a', 'e2']);
    });

    it('wait for a model whose process is being replaced', () => {
      const { runner, submit } = setUp({ capacity: 0 });
      void submit('e', {}, explain);
      expect(runner.runs).toEqual([]);
      runner.capacity = 2;
      expect(runner.ids()).toEqual(['e']);
    });

    it('keep the bound of the queue, deadlines and drain', async () => {
      const { clock, runner, scheduler, submit } = setUp({ maxQueueSize: 1 });
      const running = submit('e1', { deadline: 20 }, explain);
      const late = submit('e2', { deadline: 10 }, explain);
      expect(await reasonOf(submit('e3', {}, explain))).toBe('overloaded');
      await clock.advance(20);
      expect(await Promise.all([reasonOf(late), reasonOf(running)])).toEqual(['deadline_exceeded', 'deadline_exceeded']);
      expect(runner.at(0).batch.members[0]?.signal.aborted).toBe(true);
      let isDrained = false;
      const drained = scheduler.drain(1000).then(() => (isDrained = true));
      await settle();
      expect(isDrained).toBe(false);
      runner.at(0).answer();
      await drained;
    });
  });

  it('hands on what user code has measured', async () => {
    const { runner, submit, seen } = setUp();
    void submit('a');
    runner.at(0).answer([{ kind: 'counter', name: 'n', help: '', labels: {}, value: 1 }]);
    await settle();
    expect(seen).toContain('measured n');
  });
});
