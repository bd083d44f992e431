import { afterEach, describe, expect, test } from 'vitest';
import type { Batch, BatchMember } from '../../src/core/batch.ts';
import type { InferRequest } from '../../src/core/infer.ts';
import { NO_CAPABILITIES } from '../../src/core/metadata.ts';
import { dataLength, type Tensor } from '../../src/core/tensor.ts';
import type { EngineOptions } from '../../src/engine/index.ts';
import type { Executor, LoadedModel } from '../../src/executor/index.ts';
import type { PipelineSpec } from '../../src/pipeline/index.ts';
import { expectAllClose, modelDir, readVectors, tensorOf } from '../support/vectors.ts';

export interface ExecutorContract {
  readonly name: string;
  readonly isolation: Executor['isolation'];
  readonly onnxBinding: EngineOptions['onnxBinding'];
  create(): Executor;
  /** Where the binding blocks the event loop that would have to hear a cancellation; then only the end of the process stops a run, which `process` can do. */
  readonly canStopRuns: boolean;
}

const forever = (): AbortSignal => new AbortController().signal;

export function memberOf(inputs: readonly Tensor[], signal = forever(), rest: Partial<InferRequest> = {}): BatchMember {
  const ctx = { id: 'r', protocol: 'v2-rest', signal, deadline: Infinity, headers: {} } as const;
  return { verb: 'infer', request: { modelName: 'm', inputs, ...rest }, ctx, signal };
}

export function batchOf(...members: readonly BatchMember[]): Batch {
  return { members };
}

/** The suite that every executor passes, with real models. */
export function describeExecutor(contract: ExecutorContract): void {
  const executors: Executor[] = [];
  const create = (): Executor => {
    const executor = contract.create();
    executors.push(executor);
    return executor;
  };
  const specOf = (model: string, version = '1'): PipelineSpec => ({
    modelName: model,
    modelVersion: version,
    source: { path: modelDir(model) },
    engineOptions: { onnxBinding: contract.onnxBinding, provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
  });
  const load = (executor: Executor, model: string, version?: string): Promise<LoadedModel> => executor.load(specOf(model, version), 2, forever());
  const slow = (iterations: number): Tensor[] => [
    tensorOf('x', 'FP32', [1, 8], Array<number>(8).fill(0)),
    tensorOf('iterations', 'INT64', [], [BigInt(iterations)]),
  ];
  /** About 10 s of computing. */
  const LONG = 1_000_000;

  describe(`executor ${contract.name}`, () => {
    afterEach(async () => {
      await Promise.all(executors.splice(0).map((executor) => executor.stop(0)));
    });

    test('says what it is: isolation, states, capacity, facts of the model', async () => {
      const executor = create();
      expect(executor.isolation).toBe(contract.isolation);
      expect(executor.state).toBe('idle');
      const model = await load(executor, 'digits-mlp');
      expect(executor.state).toBe('ready');
      expect(model.capacity).toBe(contract.onnxBinding === 'native' ? 2 : 1);
      expect(model.platform).toBe('onnx_onnxv1');
      expect(model.capabilities).toEqual({ ...NO_CAPABILITIES, isPure: true });
      expect(model.properties).toMatchObject({ file: 'model.onnx', binding: contract.onnxBinding });
      expect(model.signature.inputs).toMatchObject([{ name: 'input', datatype: 'FP32', shape: [-1, 64] }]);
      await model.unload();
      expect(model.capacity).toBe(0);
      expect(executor.state).toBe('idle');
      await executor.stop(1000);
      expect(executor.state).toBe('stopped');
    });

    test.each(['digits-mlp', 'datatypes', 'fp16-mlp', 'bert-tiny', 'external-data'])('answers the vectors of %s in one batch', async (name) => {
      const model = await load(create(), name);
      // The package's own binding cuts strings at a NUL and refuses them for that.
      const vectors = readVectors(name).filter((vector) => contract.onnxBinding === 'native' || !(name === 'datatypes' && vector.name === 'edges'));
      const { responses, timings } = await model.run(batchOf(...vectors.map(({ inputs }, i) => memberOf(inputs, forever(), { id: String(i) }))));
      responses.forEach((settled, i) => {
        if (!settled.ok) throw settled.error;
        expect(settled.value).toMatchObject({ modelName: name, modelVersion: '1', id: String(i) });
        expectAllClose(settled.value.outputs, vectors[i]!.outputs);
      });
      expect(timings.predictMs).toBeGreaterThan(0);
    });

    test('gives the outputs asked for, in that order', async () => {
      const model = await load(create(), 'digits-mlp');
      const { inputs } = readVectors('digits-mlp')[0]!;
      const outputs = [{ name: 'probabilities' }, { name: 'label' }];
      const { responses } = await model.run(batchOf(memberOf(inputs, forever(), { outputs })));
      expect(responses[0]).toMatchObject({ ok: true, value: { outputs } });
    });

    test('runs more batches at once than it has capacity for, each with its own answer', async () => {
      const model = await load(create(), 'digits-mlp');
      const vectors = readVectors('digits-mlp');
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const vector = vectors[i % vectors.length]!;
          const { responses } = await model.run(batchOf(memberOf(vector.inputs)));
          if (!responses[0]?.ok) throw new Error('Expected an answer');
          expectAllClose(responses[0].value.outputs, vector.outputs);
        }),
      );
    });

    test('one bad member fails alone', async () => {
      const model = await load(create(), 'digits-mlp');
      const { inputs } = readVectors('digits-mlp')[0]!;
      const bad = [tensorOf('input', 'FP32', [1, 3], [1, 2, 3])];
      const { responses } = await model.run(batchOf(memberOf(inputs), memberOf(bad), memberOf([]), memberOf(inputs)));
      expect(responses.map(({ ok }) => ok)).toEqual([true, false, false, true]);
      expect(responses[1]).toMatchObject({
        error: { reason: 'invalid_request', message: 'Cannot use input "input": expected FP32 [-1,64], got FP32 [1,3]' },
      });
      expect(responses[2]).toMatchObject({
        error: { reason: 'invalid_request', message: 'Missing input "input" for model "digits-mlp": expected "input"' },
      });
    });

    test('takes and gives tensors without elements, and batches without members', async () => {
      const model = await load(create(), 'digits-mlp');
      const { responses } = await model.run(batchOf(memberOf([tensorOf('input', 'FP32', [0, 64], [])])));
      if (!responses[0]?.ok) throw new Error('Expected an answer');
      expect(responses[0].value.outputs.map(({ data }) => dataLength(data))).toEqual([0, 0]);
      expect((await model.run(batchOf())).responses).toEqual([]);
    });

    test('a member that is gone before the run is cancelled, the others are answered', async () => {
      const model = await load(create(), 'digits-mlp');
      const { inputs } = readVectors('digits-mlp')[0]!;
      const { responses } = await model.run(batchOf(memberOf(inputs, AbortSignal.abort()), memberOf(inputs)));
      expect(responses).toMatchObject([{ ok: false, error: { reason: 'cancelled' } }, { ok: true }]);
    });

    if (contract.canStopRuns)
      test('a run whose members have all left stops, and the model goes on', async () => {
        const model = await load(create(), 'slow-chain');
        const capacity = model.capacity;
        const leaving = AbortSignal.timeout(100);
        const start = performance.now();
        const { responses } = await model.run(batchOf(memberOf(slow(10 * LONG), leaving), memberOf(slow(10 * LONG), leaving)));
        expect(performance.now() - start).toBeLessThan(15_000);
        expect(responses).toMatchObject([{ error: { reason: 'cancelled' } }, { error: { reason: 'cancelled' } }]);
        await untilCapacity(model, capacity);
        const again = await model.run(batchOf(memberOf(slow(5))));
        expect(again.responses).toMatchObject([{ ok: true }]);
      });

    if (contract.onnxBinding === 'native')
      test('a member that leaves while it runs is cancelled, its neighbour is answered', async () => {
        const model = await load(create(), 'slow-chain');
        const { responses } = await model.run(batchOf(memberOf(slow(LONG), AbortSignal.timeout(50)), memberOf(slow(20_000))));
        expect(responses).toMatchObject([{ error: { reason: 'cancelled' } }, { ok: true }]);
      });

    test('versions of a model stay apart, and unloading one leaves the other', async () => {
      const executor = create();
      const [one, two] = [await load(executor, 'digits-mlp', '1'), await load(executor, 'digits-mlp', '2')];
      const { inputs } = readVectors('digits-mlp')[0]!;
      const ask = async (model: LoadedModel): Promise<unknown> => (await model.run(batchOf(memberOf(inputs)))).responses[0];
      expect(await ask(one)).toMatchObject({ value: { modelVersion: '1' } });
      await one.unload();
      expect(await ask(one)).toMatchObject({ ok: false, error: { reason: 'model_not_ready' } });
      expect(await ask(two)).toMatchObject({ value: { modelVersion: '2' } });
      expect(executor.state).toBe('ready');
    });

    test('unload waits for the batch in flight', async () => {
      const model = await load(create(), 'slow-chain');
      const order: string[] = [];
      const running = model.run(batchOf(memberOf(slow(20_000)))).then((result) => {
        order.push('answered');
        return result;
      });
      await model.unload();
      order.push('unloaded');
      expect((await running).responses).toMatchObject([{ ok: true }]);
      expect(order).toEqual(['answered', 'unloaded']);
    });

    test('a model that cannot be loaded is refused with one line, and another loads afterwards', async () => {
      const executor = create();
      const spec = { ...specOf('digits-mlp'), source: { path: '/nowhere/model' } };
      await expect(executor.load(spec, 1, forever())).rejects.toMatchObject({
        reason: 'model_failed',
        message: expect.stringMatching(/^[^\n]*\/nowhere\/model[^\n]*$/) as string,
      });
      expect(executor.state).toBe('idle');
      expect((await load(executor, 'digits-mlp')).capacity).toBeGreaterThan(0);
    });

    test('a load that is given up rejects with cancelled, one that takes too long with deadline_exceeded', async () => {
      const executor = create();
      await expect(executor.load(specOf('digits-mlp'), 1, AbortSignal.abort())).rejects.toMatchObject({ reason: 'cancelled' });
      const timeout = AbortSignal.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
      await expect(executor.load(specOf('digits-mlp'), 1, timeout)).rejects.toMatchObject({ reason: 'deadline_exceeded' });
      const controller = new AbortController();
      const loading = executor.load(specOf('convnet'), 1, controller.signal);
      controller.abort();
      await expect(loading).rejects.toMatchObject({ reason: 'cancelled' });
      expect((await load(executor, 'digits-mlp')).capacity).toBeGreaterThan(0);
    });

    test('stop lets a batch in flight end within its grace', async () => {
      const executor = create();
      const model = await load(executor, 'slow-chain');
      const running = model.run(batchOf(memberOf(slow(20_000))));
      await executor.stop(20_000);
      expect((await running).responses).toMatchObject([{ ok: true }]);
      expect((await model.run(batchOf(memberOf(slow(1))))).responses).toMatchObject([{ ok: false, error: { reason: 'model_not_ready' } }]);
      await expect(load(executor, 'digits-mlp')).rejects.toMatchObject({ reason: 'cancelled' });
    });

    // Inline with a binding that blocks, stop() cannot even begin before the run has ended.
    if (contract.canStopRuns)
      test('stop without grace settles a batch in flight at once', async () => {
        const executor = create();
        const model = await load(executor, 'slow-chain');
        const controller = new AbortController();
        const running = model.run(batchOf(memberOf(slow(LONG), controller.signal)));
        await executor.stop(0);
        expect((await running).responses).toMatchObject([{ ok: false, error: { reason: 'executor_lost' } }]);
        expect(executor.state).toBe('stopped');
        controller.abort();
      });
  });
}

/** Resolves when the model has the capacity; the test's own timeout ends the wait. */
export function untilCapacity(model: LoadedModel, capacity: number): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (model.capacity === capacity) resolve();
    };
    model.onCapacityChange(check);
    check();
  });
}
