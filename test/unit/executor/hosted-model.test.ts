import { describe, expect, test } from 'vitest';
import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { HostedModel, type ModelHost } from '../../../src/executor/hosted-model.ts';
import { createDeferred } from '../../../src/executor/deferred.ts';

const spec = {
  modelName: 'm',
  modelVersion: '1',
  source: { path: '/m' },
  engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
} as const;
const facts = { signature: { inputs: [], outputs: [] }, platform: 'p', properties: {} };
const batch: Batch = { members: [{ request: { modelName: 'm', inputs: [] }, signal: new AbortController().signal }] };
const result: BatchResult = { responses: [], timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 } };
const host = (isConcurrent: boolean, run: ModelHost['run'] = () => Promise.resolve(result)): ModelHost => ({ isConcurrent, run });
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
