import { describe, expect, test } from 'vitest';
import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { ServingError } from '../../../src/core/errors.ts';
import { NO_CAPABILITIES } from '../../../src/core/metadata.ts';
import { HostedModel, type ModelHost } from '../../../src/executor/hosted-model.ts';
import { createDeferred } from '../../../src/executor/deferred.ts';
import { failBatch, loseBatch, type HostResult } from '../../../src/executor/running-batch.ts';
import { memberOf } from './member.ts';

const spec = {
  modelName: 'm',
  modelVersion: '1',
  source: { path: '/m' },
  engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
} as const;
const facts = { signature: { inputs: [], outputs: [] }, capabilities: NO_CAPABILITIES, platform: 'p', properties: {}, isRetryable: false };
const batch: Batch = { members: [memberOf()] };
const result: BatchResult = { responses: [], timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 } };
const host = (isConcurrent: boolean, run: ModelHost['run'] = () => Promise.resolve(result)): ModelHost => ({
  isConcurrent,
  concurrency: undefined,
  run,
});
const createModel = (unload = (): Promise<void> => Promise.resolve()): HostedModel => new HostedModel(spec, 3, facts, unload);

describe('HostedModel', () => {
  test('has the capacity of its host, none without one, and tells of changes only', () => {
    const model = createModel();
    const seen: number[] = [];
    model.onCapacityChange(() => seen.push(model.capacity));
    for (const next of [host(true), host(true), undefined, undefined, host(false)]) model.moveTo(next);
    expect(seen).toEqual([3, 0, 1]);
  });

  test('without a host, answers that its process is being replaced', async () => {
    expect((await createModel().run(batch)).responses).toMatchObject([{ error: { reason: 'executor_lost' } }]);
  });

  test('once closed, takes neither batches nor hosts', async () => {
    const model = createModel();
    model.close();
    model.moveTo(host(true));
    expect(model.capacity).toBe(0);
    expect((await model.run(batch)).responses).toMatchObject([{ error: { reason: 'model_not_ready' } }]);
  });

  test('is idle when the last batch has ended, for everybody who waits', async () => {
    const model = createModel();
    const runs = [createDeferred<BatchResult>(), createDeferred<BatchResult>()];
    let next = 0;
    model.moveTo(host(true, () => runs[next++]!.promise));
    const running = [model.run(batch), model.run(batch)];
    let idle = 0;
    const waiting = [model.untilIdle(), model.untilIdle()].map((wait) => wait.then(() => idle++));
    runs[0]!.resolve(result);
    await running[0];
    expect(idle).toBe(0);
    runs[1]!.resolve(result);
    await Promise.all(waiting);
    expect(idle).toBe(2);
    await model.untilIdle();
  });

  test('is unloaded once, however often it is asked', async () => {
    let unloads = 0;
    const model = createModel(() => {
      unloads++;
      return Promise.resolve();
    });
    await Promise.all([model.unload(), model.unload()]);
    expect(unloads).toBe(1);
  });
});

/** A host of which each run is ended by the test. */
class ManualHost implements ModelHost {
  readonly isConcurrent = true;
  readonly concurrency = undefined;
  readonly runs: { readonly batch: Batch; readonly end: (result: HostResult) => void }[] = [];

  run(batch: Batch): Promise<HostResult> {
    const { promise, resolve } = createDeferred<HostResult>();
    this.runs.push({ batch, end: resolve });
    return promise;
  }

  ids(): (string | undefined)[] {
    return this.runs.flatMap(({ batch: { members } }) => members.map(({ request }) => request.id));
  }

  answer(at: number): void {
    const { batch, end } = this.runs[at]!;
    end({ ...result, responses: batch.members.map(({ request }) => ({ ok: true, value: { modelName: 'm', id: request.id!, outputs: [] } })) });
  }

  /** Its process dies. */
  die(): void {
    for (const { batch, end } of this.runs) end(loseBatch(batch, new ServingError('executor_lost', 'gone')));
  }
}

const one = (id: string, signal?: AbortSignal): Batch => ({ members: [memberOf({ modelName: 'm', id, inputs: [] }, signal)] });
const outcomeOf = async (run: Promise<BatchResult>): Promise<string[]> =>
  (await run).responses.map((response) => (response.ok ? `ok ${response.value.id ?? ''}` : response.error.reason));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what was lost with a process', () => {
  const retryable = (): HostedModel => new HostedModel(spec, 3, { ...facts, isRetryable: true }, () => Promise.resolve());

  test('is not repeated by a model that must not', async () => {
    const model = createModel();
    const [first, second] = [new ManualHost(), new ManualHost()];
    model.moveTo(first);
    const run = model.run(one('a'));
    model.moveTo(undefined);
    first.die();
    expect(await outcomeOf(run)).toEqual(['executor_lost']);
    model.moveTo(second);
    expect(model.capacity).toBe(3);
    expect(second.runs).toEqual([]);
  });

  test('runs once more, alone and one at a time; whoever takes the process along again is lost, the rest is answered', async () => {
    const model = retryable();
    const hosts = [new ManualHost(), new ManualHost(), new ManualHost()] as const;
    const capacities: number[] = [];
    model.onCapacityChange(() => capacities.push(model.capacity));
    model.moveTo(hosts[0]);
    const runs = ['a', 'b', 'c'].map((id) => outcomeOf(model.run(one(id))));
    model.moveTo(undefined);
    hosts[0].die();
    await turn();
    model.moveTo(hosts[1]);
    await turn();
    expect(hosts[1].ids()).toEqual(['a']);
    expect(model.capacity).toBe(0);
    hosts[1].answer(0);
    await turn();
    expect(hosts[1].ids()).toEqual(['a', 'b']);
    model.moveTo(undefined);
    hosts[1].die();
    await turn();
    model.moveTo(hosts[2]);
    await turn();
    expect(hosts[2].ids()).toEqual(['c']);
    hosts[2].answer(0);
    expect(await Promise.all(runs)).toEqual([['ok a'], ['executor_lost'], ['ok c']]);
    expect(model.capacity).toBe(3);
    expect(capacities).toEqual([3, 0, 3]);
  });

  test('does not run for a member that was given up, before or while it waits, or whose deadline has passed', async () => {
    const model = retryable();
    const [first, second] = [new ManualHost(), new ManualHost()];
    const [gone, leaving] = [new AbortController(), new AbortController()];
    model.moveTo(first);
    const late = { members: [memberOf({ modelName: 'm', id: 'late', inputs: [] }, undefined, { deadline: performance.now() - 1 })] };
    const runs = [one('gone', gone.signal), one('leaving', leaving.signal), late].map((batch) => outcomeOf(model.run(batch)));
    gone.abort();
    model.moveTo(undefined);
    first.die();
    await turn();
    leaving.abort();
    expect(await Promise.all(runs)).toEqual([['cancelled'], ['executor_lost'], ['executor_lost']]);
    model.moveTo(second);
    await turn();
    expect([second.ids(), model.capacity]).toEqual([[], 3]);
  });

  test('waits for runs that the new process has already', async () => {
    const model = retryable();
    const [first, second] = [new ManualHost(), new ManualHost()];
    model.moveTo(first);
    const lost = outcomeOf(model.run(one('a')));
    model.moveTo(second);
    const other = outcomeOf(model.run(one('b')));
    first.die();
    await turn();
    expect(second.ids()).toEqual(['b']);
    second.answer(0);
    await turn();
    expect(second.ids()).toEqual(['b', 'a']);
    second.answer(1);
    expect([await lost, await other]).toEqual([['ok a'], ['ok b']]);
  });

  test.each(['close', 'giveUpRepeating'] as const)('is lost for good after %s, at once', async (end) => {
    const model = retryable();
    const first = new ManualHost();
    model.moveTo(first);
    const runs = ['a', 'b'].map((id) => outcomeOf(model.run(one(id))));
    model.moveTo(undefined);
    first.die();
    await turn();
    model[end]();
    expect(await Promise.all(runs)).toEqual([['executor_lost'], ['executor_lost']]);
    await model.untilIdle();
  });

  test('settles each member of a batch in its place', async () => {
    const model = retryable();
    const [first, second] = [new ManualHost(), new ManualHost()];
    model.moveTo(first);
    const gone = AbortSignal.abort();
    const run = outcomeOf(model.run({ members: [...one('a').members, ...one('b', gone).members, ...one('c').members] }));
    model.moveTo(undefined);
    first.die();
    await turn();
    model.moveTo(second);
    await turn();
    second.answer(0);
    await turn();
    second.answer(1);
    expect(await run).toEqual(['ok a', 'cancelled', 'ok c']);
  });
});

describe('a handler', () => {
  test('takes as many batches at once as it says, whatever the instances', () => {
    const model = createModel();
    model.moveTo({ ...host(false), concurrency: 64 });
    expect(model.capacity).toBe(64);
  });

  test('that is worn out is told of with each batch', async () => {
    const model = createModel();
    let told = 0;
    model.onWornOut(() => told++);
    model.moveTo(host(true, () => Promise.resolve({ ...failBatch(batch, new ServingError('deadline_exceeded', 'late')), isWornOut: true })));
    await model.run(batch);
    await model.run(batch);
    expect(told).toBe(2);
  });
});
