import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER, type RequestContext } from '../../../src/core/context.ts';
import { StopSource } from '../../../src/core/stop-signal.ts';
import { createScheduler, sharedSlots } from '../../../src/scheduler/index.ts';
import { FakeRunner, requestOf } from './fake-runner.ts';
import { settle } from './virtual-clock.ts';

const ctx: RequestContext = { id: '', protocol: 'v2-rest', signal: new StopSource(), deadline: Infinity, headers: {} };

describe('models that share the threads of one process', () => {
  it('never run more at once than the pool has beyond its reserve, and take turns when it is full', async () => {
    const slots = sharedSlots(7);
    const runners = [new FakeRunner(3), new FakeRunner(3), new FakeRunner(3)];
    const schedulers = runners.map((runner) => createScheduler({ modelName: 'm', maxQueueSize: 100 }, { runner, slots, log: SILENT_LOGGER }));
    const answers = schedulers.flatMap((scheduler, model) =>
      Array.from({ length: 4 }, (_, i) => scheduler.submit({ verb: 'infer', request: requestOf(`${String(model)}${String(i)}`) }, ctx)),
    );
    const started = (): number[] => runners.map(({ runs }) => runs.length);
    expect(started()).toEqual([3, 0, 0]);
    for (const [done, expected] of [
      [0, [3, 1, 0]],
      [1, [3, 1, 1]],
      [2, [3, 2, 1]],
    ] as const) {
      runners[0]!.at(done).answer();
      await settle();
      expect(started()).toEqual(expected);
    }
    for (let i = 0; i < 4; i++) {
      for (const runner of runners) for (const run of runner.runs) run.answer();
      await settle();
    }
    expect((await Promise.all(answers)).map(({ id }) => id)).toEqual(['00', '01', '02', '03', '10', '11', '12', '13', '20', '21', '22', '23']);
  });

  it('leave a slot to the next when a request that waited for it has gone', async () => {
    const slots = sharedSlots(5);
    const runners = [new FakeRunner(1), new FakeRunner(1), new FakeRunner(1)];
    const schedulers = runners.map((runner) => createScheduler({ modelName: 'm', maxQueueSize: 100 }, { runner, slots, log: SILENT_LOGGER }));
    const leaving = new AbortController();
    void schedulers[0]!.submit({ verb: 'infer', request: requestOf('a') }, ctx);
    const gone = schedulers[1]!.submit({ verb: 'infer', request: requestOf('b') }, { ...ctx, signal: leaving.signal });
    void schedulers[2]!.submit({ verb: 'infer', request: requestOf('c') }, ctx);
    leaving.abort();
    await expect(gone).rejects.toMatchObject({ reason: 'cancelled' });
    runners[0]!.at(0).answer();
    await settle();
    expect(runners.map(({ runs }) => runs.length)).toEqual([1, 0, 1]);
    runners[2]!.at(0).answer();
  });
});
