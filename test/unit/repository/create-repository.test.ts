import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferResponse } from '../../../src/core/infer.ts';
import { createRepository, type ExecutorPurpose, type ModelRepository, type RepositoryOptions } from '../../../src/repository/index.ts';
import { FakeExecutor, sortByModel, type FakeLoad, type FakeModel } from './fake-executor.ts';
import { addFiles, detect, makeFiles } from './model-files.ts';

interface Setup {
  readonly root: string;
  readonly repository: ModelRepository;
  readonly purposes: ExecutorPurpose[];
  readonly executors: FakeExecutor[];
  /** Loads not ended automatically. */
  readonly held: FakeLoad[];
  /** Models in the order they were loaded. */
  readonly models: FakeModel[];
  readonly start: () => Promise<void>;
  readonly submit: (name: string) => Promise<InferResponse>;
}

interface Behaviour {
  /** Model names whose load fails, or waits for the test. */
  readonly broken?: Set<string>;
  readonly hold?: Set<string>;
}

function setUp(paths: readonly string[], options: Partial<RepositoryOptions> = {}, behaviour: Behaviour = {}): Setup {
  const root = makeFiles(...paths);
  const purposes: ExecutorPurpose[] = [];
  const executors: FakeExecutor[] = [];
  const held: FakeLoad[] = [];
  const models: FakeModel[] = [];
  const onLoad = (load: FakeLoad): void => {
    const { modelName } = load.spec;
    if (behaviour.hold?.has(modelName) === true) held.push(load);
    else if (behaviour.broken?.has(modelName) === true) load.fail(new ServingError('model_failed', `Cannot load ${modelName}: broken`));
    else models.push(load.succeed());
  };
  const repository = createRepository(
    {
      modelName: undefined,
      modelDir: root,
      isolation: 'auto',
      instances: 3,
      loadTimeoutMs: 60_000,
      maxQueueSize: 10,
      warmUp: 'off',
      engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
      ...options,
    },
    {
      createExecutor: (purpose) => {
        purposes.push(purpose);
        const executor = new FakeExecutor(purpose.isolation, onLoad);
        executors.push(executor);
        return executor;
      },
      detect,
      log: SILENT_LOGGER,
    },
  );
  return {
    root,
    repository,
    purposes,
    executors,
    held,
    models,
    start: async () => {
      await repository.start(new AbortController().signal);
      sortByModel(purposes, models, executors);
    },
    submit: (modelName) => {
      const ctx = {
        id: '1',
        protocol: 'v2-rest' as const,
        signal: new AbortController().signal,
        deadline: Infinity,
        headers: {},
        log: SILENT_LOGGER,
      };
      const answer = repository.find(modelName).scheduler.submit({ verb: 'infer', request: { modelName, inputs: [] } }, ctx);
      answer.catch(() => undefined);
      return answer;
    },
  };
}

const states = (repository: ModelRepository): string[] => repository.index().map(({ name, version, state }) => `${name}/${version} ${state}`);

describe('start', () => {
  it('loads a single model inline with its instances and is ready', async () => {
    const { root, repository, purposes, executors, start } = setUp(['model.onnx'], { modelName: 'digits' });
    expect(repository.isAllReady()).toBe(false);
    await start();
    expect(purposes).toEqual([{ isolation: 'inline' }]);
    expect(executors[0]?.loads[0]).toMatchObject({ instances: 3, spec: { modelName: 'digits', modelVersion: '1', source: { path: root } } });
    expect([repository.names(), repository.isAllReady(), states(repository)]).toEqual([['digits'], true, ['digits/1 READY']]);
    expect(repository.find('digits', '1')).toMatchObject({ name: 'digits', version: '1', platform: 'fake_fakev1', isReady: true });
  });

  it('gives each of several models a process of its own', async () => {
    const { repository, purposes, start } = setUp(['a/model.onnx', 'b/2/model.onnx']);
    await start();
    expect(purposes).toEqual([
      { isolation: 'process', modelName: 'a' },
      { isolation: 'process', modelName: 'b' },
    ]);
    expect(states(repository)).toEqual(['a/1 READY', 'b/2 READY']);
  });

  it('shares one executor between several models when told to run inline', async () => {
    const { executors, start } = setUp(['a/model.onnx', 'b/model.onnx'], { isolation: 'inline' });
    await start();
    expect(executors).toHaveLength(1);
    expect(executors[0]?.loads.map(({ spec }) => spec.modelName).sort()).toEqual(['a', 'b']);
  });

  it('serves the highest version only', async () => {
    const { repository, start } = setUp(['1/model.onnx', '3/model.onnx']);
    await start();
    expect(repository.find('model').version).toBe('3');
    expect(repository.isReady('model', '3')).toBe(true);
    expect(() => repository.find('model', '1')).toThrow('Model with name model and version 1 does not exist.');
    expect(() => repository.isReady('model', '1')).toThrow('does not exist');
  });

  it('fails with the reason when the only model cannot be loaded, and leaves no executor behind', async () => {
    const { root, executors, start } = setUp(['model.onnx'], {}, { broken: new Set(['model']) });
    await expect(start()).rejects.toMatchObject({
      reason: 'model_failed',
      message: `Cannot load model "model" from ${root}: Cannot load model: broken`,
    });
    expect(executors.map(({ state }) => state)).toEqual(['stopped']);
  });

  it('starts without the models that cannot be loaded, not ready, and says why', async () => {
    const { repository, start } = setUp(['a/model.onnx', 'b/model.onnx'], {}, { broken: new Set(['a']) });
    await start();
    expect(repository.isAllReady()).toBe(false);
    expect(repository.names()).toEqual(['a', 'b']);
    expect(repository.index()[0]).toEqual({ name: 'a', version: '1', state: 'UNAVAILABLE', reason: 'Cannot load a: broken' });
    expect(() => repository.find('a')).toThrow(
      expect.objectContaining({ reason: 'model_not_ready', message: 'Model with name a is not ready.' }) as Error,
    );
    expect([repository.isReady('a'), repository.isReady('b')]).toEqual([false, true]);
  });

  it('fails when none of several models can be loaded', async () => {
    const { start } = setUp(['a/model.onnx', 'b/model.onnx'], {}, { broken: new Set(['a', 'b']) });
    await expect(start()).rejects.toThrow(/^Cannot load model "a" from .*\/a: Cannot load a: broken \(and 1 more of /);
  });

  it('refuses a model name that cannot be a path segment', async () => {
    const { start } = setUp(['model.onnx'], { modelName: '../etc' });
    await expect(start()).rejects.toMatchObject({ reason: 'invalid_request', message: expect.stringContaining('--model_name') as string });
  });

  it('gives up a load that takes too long, and frees what it loads in the end', async () => {
    const { held, executors, start } = setUp(['model.onnx'], { loadTimeoutMs: 1 }, { hold: new Set(['model']) });
    await expect(start()).rejects.toMatchObject({
      reason: 'deadline_exceeded',
      message: expect.stringContaining('not loaded within 1 ms') as string,
    });
    expect(held[0]?.signal.aborted).toBe(true);
    expect(executors[0]?.state).toBe('stopped');
    const late = held[0]!.succeed();
    await vi.waitFor(() => {
      expect(late.isUnloaded).toBe(true);
    });
  });

  it('stops when its signal aborts', async () => {
    const { held, repository } = setUp(['model.onnx'], {}, { hold: new Set(['model']) });
    const stop = new AbortController();
    const started = repository.start(stop.signal);
    await vi.waitFor(() => {
      expect(held).toHaveLength(1);
    });
    stop.abort(new ServingError('cancelled', 'told to stop'));
    await expect(started).rejects.toMatchObject({ reason: 'cancelled' });
  });
});

describe('find and isReady', () => {
  it.each(['unknown', '__proto__', 'constructor', '', '../a'])('throw model_not_found for the name %j', async (name) => {
    const { repository, start } = setUp(['model.onnx']);
    await start();
    expect(() => repository.find(name)).toThrow(`Model with name ${name} does not exist.`);
    expect(() => repository.isReady(name)).toThrow(expect.objectContaining({ reason: 'model_not_found' }) as Error);
  });

  it('still find a model whose process is being replaced, which is not ready', async () => {
    const { repository, models, start, submit } = setUp(['model.onnx']);
    await start();
    models[0]!.capacity = 0;
    expect(repository.find('model').isReady).toBe(false);
    expect([repository.isReady('model'), repository.isAllReady(), states(repository)]).toEqual([false, false, ['model/1 UNAVAILABLE']]);
    const answer = submit('model');
    models[0]!.capacity = 1;
    models[0]!.answerAll();
    expect(await answer).toMatchObject({ modelName: 'model' });
    expect(repository.isAllReady()).toBe(true);
  });
});

describe('load', () => {
  it('loads a sub-directory that appeared after the start', async () => {
    const { root, repository, start } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    addFiles(root, 'c/model.onnx');
    await repository.load('c');
    expect(repository.names()).toEqual(['a', 'b', 'c']);
    expect(repository.isReady('c')).toBe(true);
  });

  it.each(['d', '..', 'a/1', '__proto__'])('throws model_not_found for %j, of which nothing is there', async (name) => {
    const { repository, start } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    await expect(repository.load(name)).rejects.toMatchObject({ reason: 'model_not_found' });
    expect(repository.index()).toHaveLength(2);
  });

  it('does not load the directory of an only model a second time under its own name', async () => {
    const { repository, start } = setUp(['digits/model.onnx'], { modelName: 'isvc' });
    await start();
    await expect(repository.load('digits')).rejects.toMatchObject({ reason: 'model_not_found' });
  });

  it('loads a new version beside the old one, answers what the old one had and then frees it', async () => {
    const { root, repository, executors, models, start, submit } = setUp(['a/1/model.onnx', 'b/model.onnx']);
    await start();
    const old = submit('a');
    addFiles(root, 'a/2/model.onnx');
    await repository.load('a');
    expect(repository.find('a').version).toBe('2');
    expect([models[0]!.isUnloaded, executors[0]!.state]).toEqual([false, 'idle']);
    models[0]!.answerAll();
    expect((await old).modelVersion).toBe('1');
    await vi.waitFor(() => {
      expect([models[0]!.isUnloaded, executors[0]!.state]).toEqual([true, 'stopped']);
    });
    const next = submit('a');
    models[2]!.answerAll();
    expect((await next).modelVersion).toBe('2');
  });

  it('leaves the old one serving when the new one cannot be loaded, and says why', async () => {
    const broken = new Set<string>();
    const { repository, models, executors, start, submit } = setUp(['a/model.onnx', 'b/model.onnx'], {}, { broken });
    await start();
    broken.add('a');
    await expect(repository.load('a')).rejects.toMatchObject({
      reason: 'model_not_ready',
      message: 'Model with name a is not ready. Cannot load a: broken',
    });
    expect(executors[2]?.state).toBe('stopped');
    expect(repository.isAllReady()).toBe(true);
    const answer = submit('a');
    models[0]!.answerAll();
    expect(await answer).toMatchObject({ modelName: 'a' });
  });

  it('does not make the server unready when a new model cannot be loaded', async () => {
    const { root, repository, start } = setUp(['a/model.onnx', 'b/model.onnx'], {}, { broken: new Set(['c']) });
    await start();
    addFiles(root, 'c/model.onnx');
    await expect(repository.load('c')).rejects.toMatchObject({ reason: 'model_not_ready' });
    expect([repository.isAllReady(), repository.names()]).toEqual([true, ['a', 'b']]);
    expect(repository.index()[2]).toEqual({ name: 'c', version: '1', state: 'UNAVAILABLE', reason: 'Cannot load c: broken' });
  });

  it('refuses a second load, and an unload, while one is in progress', async () => {
    const hold = new Set<string>();
    const { repository, held, start } = setUp(['model.onnx'], {}, { hold });
    await start();
    hold.add('model');
    const first = repository.load('model');
    await expect(repository.load('model')).rejects.toMatchObject({
      reason: 'conflict',
      message: 'Cannot load model "model": its load is in progress',
    });
    await expect(repository.unload('model')).rejects.toMatchObject({ reason: 'conflict' });
    await vi.waitFor(() => {
      expect(held).toHaveLength(1);
    });
    expect(repository.isReady('model')).toBe(true);
    held[0]!.succeed();
    await first;
  });

  it('throws model_not_found when the files of a known model are gone, which goes on serving', async () => {
    const { root, repository, start } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    rmSync(join(root, 'a'), { recursive: true });
    await expect(repository.load('a')).rejects.toMatchObject({ reason: 'model_not_found' });
    expect(repository.isReady('a')).toBe(true);
  });
});

describe('unload', () => {
  it('answers what is in flight, then frees the model and ends its process', async () => {
    const { repository, models, executors, start, submit } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    const answer = submit('a');
    const unloaded = repository.unload('a');
    expect(states(repository)[0]).toBe('a/1 UNLOADING');
    expect(() => repository.find('a')).toThrow('Model with name a is not ready.');
    expect(models[0]!.isUnloaded).toBe(false);
    models[0]!.answerAll();
    expect(await answer).toMatchObject({ modelName: 'a' });
    await unloaded;
    expect([models[0]!.isUnloaded, executors[0]!.state]).toEqual([true, 'stopped']);
    expect(repository.index()[0]).toEqual({ name: 'a', version: '1', state: 'UNAVAILABLE', reason: 'unloaded' });
    expect([repository.names(), repository.isAllReady()]).toEqual([['b'], true]);
  });

  it('leaves a model that requests do not find, is not ready, and is not to be tried again', async () => {
    const { repository, start } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    await repository.unload('a');
    expect(() => repository.find('a')).toThrow(expect.objectContaining({ reason: 'model_not_found' }));
    expect(repository.isReady('a')).toBe(false);
    const loaded = repository.load('a');
    expect(() => repository.find('a')).toThrow(expect.objectContaining({ reason: 'model_not_ready' }));
    await loaded;
    expect(repository.find('a').isReady).toBe(true);
  });

  it('throws model_not_found for a model that is unknown or not loaded', async () => {
    const { repository, start } = setUp(['model.onnx']);
    await start();
    await expect(repository.unload('x')).rejects.toMatchObject({ reason: 'model_not_found' });
    await repository.unload('model');
    await expect(repository.unload('model')).rejects.toMatchObject({ reason: 'model_not_found' });
    expect(repository.isAllReady()).toBe(false);
  });

  it('lets the model be loaded again, many times, in the shared executor', async () => {
    const { repository, executors, models, start } = setUp(['model.onnx']);
    await start();
    for (let i = 0; i < 100; i++) {
      await repository.unload('model');
      await repository.load('model');
    }
    expect([executors.length, models.length, models.filter((model) => !model.isUnloaded).length]).toEqual([1, 101, 1]);
  });
});

describe('close', () => {
  it('answers what is in flight, then unloads the models and stops the executors', async () => {
    const { repository, models, executors, start, submit } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    const answer = submit('a');
    const closed = repository.close(10_000);
    models[0]!.answerAll();
    expect(await answer).toMatchObject({ modelName: 'a' });
    await closed;
    expect(models.map(({ isUnloaded }) => isUnloaded)).toEqual([true, true]);
    expect(executors.map(({ state }) => state)).toEqual(['stopped', 'stopped']);
    expect(repository.isAllReady()).toBe(false);
  });

  it('rejects what is still in flight after the grace with server_not_ready', async () => {
    const { repository, executors, start, submit } = setUp(['model.onnx']);
    await start();
    const answer = submit('model');
    await repository.close(5);
    await expect(answer).rejects.toMatchObject({ reason: 'server_not_ready' });
    expect(executors[0]!.state).toBe('stopped');
  });

  it('hurries an unload that is waiting for a slow run', async () => {
    const { repository, start, submit } = setUp(['model.onnx']);
    await start();
    const answer = submit('model');
    const unloaded = repository.unload('model');
    await repository.close(5);
    await unloaded;
    await expect(answer).rejects.toMatchObject({ reason: 'server_not_ready' });
  });

  it('gives up a load in progress and refuses further ones', async () => {
    const hold = new Set<string>();
    const { repository, held, start } = setUp(['model.onnx'], {}, { hold });
    await start();
    hold.add('model');
    const load = repository.load('model');
    load.catch(() => undefined);
    await vi.waitUntil(() => held.length === 1);
    await repository.close(5);
    await expect(load).rejects.toMatchObject({ reason: 'model_not_ready' });
    await expect(repository.load('model')).rejects.toMatchObject({ reason: 'model_not_ready' });
    expect(held).toHaveLength(1);
  });
});
