import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { PipelineSpec } from '../../../src/pipeline/index.ts';
import { createRepository, type ExecutorPurpose, type ModelRepository, type RepositoryOptions } from '../../../src/repository/index.ts';
import { FakeExecutor, type FakeModel } from './fake-executor.ts';
import { addFiles, detect, makeFiles } from './model-files.ts';

interface Setup {
  readonly root: string;
  readonly repository: ModelRepository;
  readonly specs: PipelineSpec[];
  readonly purposes: ExecutorPurpose[];
  readonly models: FakeModel[];
  readonly lines: { readonly fields: Readonly<Record<string, unknown>>; readonly message: string }[];
  readonly recycled: string[];
  readonly broken: { is: boolean };
  readonly silent: { is: boolean };
  readonly start: () => Promise<void>;
}

const HANDLERS = { path: undefined, enableModelHandlers: false, concurrency: 64, maxStuck: 16 };

function setUp(paths: readonly string[], options: (root: string) => Partial<RepositoryOptions>): Setup {
  const root = makeFiles(...paths);
  const setup: Omit<Setup, 'repository' | 'start' | 'root'> = {
    specs: [],
    purposes: [],
    models: [],
    lines: [],
    recycled: [],
    broken: { is: false },
    silent: { is: false },
  };
  const { specs, purposes, models, lines, recycled, broken, silent } = setup;
  const write = (fields: object, message: string): void => void lines.push({ fields: fields as Record<string, unknown>, message });
  const log: Logger = { ...SILENT_LOGGER, info: write, warn: write, error: write, child: () => SILENT_LOGGER };
  const repository = createRepository(
    {
      modelName: undefined,
      modelDir: root,
      isolation: 'auto',
      instances: 3,
      warmUp: 'off',
      loadTimeoutMs: 60_000,
      maxQueueSize: 10,
      engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
      handler: HANDLERS,
      ...options(root),
    },
    {
      createExecutor: (purpose) => {
        purposes.push(purpose);
        return new FakeExecutor(purpose.isolation, (load) => {
          specs.push(load.spec);
          if (broken.is) load.fail(new ServingError('handler_failed', 'Cannot load handler h.ts:3: Unexpected token'));
          else models.push(load.succeed(silent.is));
        });
      },
      observer: { recycled: (name) => recycled.push(name) },
      detect,
      log,
    },
  );
  onTestFinished(() => repository.close(0));
  return { ...setup, root, repository, start: () => repository.start(new AbortController().signal) };
}

const PREDICTOR = { host: 'p', protocol: 'v2', useSsl: false, requestTimeoutMs: 1, retries: 0 } as const;

describe('a handler', () => {
  it('runs around the only model, in a process of its own', async () => {
    const { root, specs, purposes, start } = setUp(['model.onnx', 'code/h.ts'], (at) => ({ handler: { ...HANDLERS, path: join(at, 'code/h.ts') } }));
    await start();
    expect(specs).toMatchObject([
      { modelName: 'model', source: { path: root }, handler: { path: join(root, 'code/h.ts'), concurrency: 64, maxStuck: 16, engineRuns: 3 } },
    ]);
    expect(purposes).toEqual([{ isolation: 'process', modelName: 'model', hasHandler: true }]);
  });

  it('runs inline when told so', async () => {
    const { purposes, start } = setUp(['model.onnx'], () => ({ handler: { ...HANDLERS, path: '/h.ts' }, isolation: 'inline' }));
    await start();
    expect(purposes).toEqual([{ isolation: 'inline' }]);
  });

  it.each([
    ['no directory', [], undefined],
    ['an empty one', [], ''],
    ['one that is not there', [], 'missing'],
    ['one without a model', ['labels.txt'], ''],
  ])('is all of the model with %s, and can be loaded again', async (_what, files, modelDir) => {
    const { repository, specs, start } = setUp(files, (root) => ({
      modelName: 'mine',
      modelDir: modelDir === undefined ? undefined : join(root, modelDir),
      handler: { ...HANDLERS, path: '/h.ts' },
    }));
    await start();
    await repository.load('mine');
    expect(specs).toHaveLength(2);
    for (const spec of specs) {
      expect(spec).toMatchObject({ modelName: 'mine', modelVersion: '1', handler: { path: '/h.ts' } });
      expect(spec.source).toBeUndefined();
    }
    expect(repository.names()).toEqual(['mine']);
  });

  it('is refused around several models, with what to do', async () => {
    const { start } = setUp(['a/model.onnx', 'b/model.onnx'], () => ({ handler: { ...HANDLERS, path: '/h.ts' } }));
    await expect(start()).rejects.toMatchObject({ reason: 'invalid_request', message: expect.stringContaining('--enable_model_handlers') as string });
  });

  it('in a model directory is left alone, and the log says so', async () => {
    const { root, specs, purposes, lines, start } = setUp(['3/model.onnx', '3/handler.mjs'], () => ({}));
    await start();
    expect(specs[0]?.handler).toBeUndefined();
    expect(purposes).toEqual([{ isolation: 'inline' }]);
    expect(lines).toMatchObject([{ fields: { handler: join(root, '3/handler.mjs') }, message: expect.stringContaining('left alone') as string }, {}]);
  });

  it.each([
    ['beside the model', ['model.onnx', 'handler.mjs', 'handler.js'], ['handler.js'], ['']],
    ['in the version', ['3/model.onnx', '3/handler.ts', 'handler.mjs'], ['3/handler.ts'], ['3']],
    ['above the versions', ['3/model.onnx', 'handler.mts'], ['handler.mts'], ['3']],
    ['alone', ['handler.mjs'], ['handler.mjs'], [undefined]],
    ['alone in a version', ['2/handler.mjs', '1/model.onnx'], ['2/handler.mjs'], [undefined]],
    [
      'in a repository',
      ['a/handler.mjs', 'b/model.onnx', 'c/2/model.onnx', 'c/handler.js'],
      ['a/handler.mjs', undefined, 'c/handler.js'],
      [undefined, 'b', 'c/2'],
    ],
  ])('in a model directory runs when allowed: %s', async (_where, files, handlers, sources) => {
    const { root, specs, start } = setUp(files, () => ({ handler: { ...HANDLERS, enableModelHandlers: true } }));
    await start();
    // Models load side by side.
    specs.sort((a, b) => (a.modelName < b.modelName ? -1 : 1));
    const at = (path: string | undefined): string | undefined => (path === undefined ? undefined : join(root, path));
    expect(specs.map(({ handler }) => handler?.path)).toEqual(handlers.map(at));
    expect(specs.map(({ source }) => source?.path)).toEqual(sources.map((path) => (path === undefined ? undefined : join(root, path))));
  });
});

describe('a predictor elsewhere', () => {
  it('needs no files, with and without a handler', async () => {
    const alone = setUp([], () => ({ modelDir: undefined, predictor: PREDICTOR }));
    await alone.start();
    expect(alone.specs).toMatchObject([{ modelName: 'model', modelVersion: '1', predictor: PREDICTOR }]);
    expect(alone.purposes).toEqual([{ isolation: 'inline' }]);
    const packed = setUp(['handler.mjs', 'model.onnx'], () => ({ handler: { ...HANDLERS, enableModelHandlers: true }, predictor: PREDICTOR }));
    await packed.start();
    expect(packed.specs).toMatchObject([{ predictor: PREDICTOR, handler: { path: join(packed.root, 'handler.mjs') } }]);
    expect(packed.specs[0]?.source).toBeUndefined();
    await packed.repository.load('model');
    expect(packed.specs).toHaveLength(2);
  });
});

describe('a predictor that does not tell what it takes', () => {
  const askedAfter = async (protocol: 'v1' | 'v2', ms: number): Promise<Setup> => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const setup = setUp([], () => ({ modelDir: undefined, predictor: { ...PREDICTOR, protocol } }));
    setup.silent.is = true;
    await setup.start();
    await vi.advanceTimersByTimeAsync(ms);
    return setup;
  };

  it('is asked again after ever longer pauses, until it does', async () => {
    const { specs, silent, models } = await askedAfter('v2', 7000);
    expect(specs).toHaveLength(4);
    silent.is = false;
    await vi.advanceTimersByTimeAsync(8000);
    expect(specs).toHaveLength(5);
    await vi.advanceTimersByTimeAsync(120_000);
    expect([specs.length, models.map(({ isUnloaded }) => isUnloaded)]).toEqual([5, [true, true, true, true, false]]);
  });

  it('is not asked again over v1, which has no metadata', async () => {
    expect((await askedAfter('v1', 120_000)).specs).toHaveLength(1);
  });
});

describe('a model that is worn out', () => {
  it('is loaded anew beside what serves, then freed; counted and logged', async () => {
    const { repository, models, recycled, lines, start } = setUp(['model.onnx'], () => ({ handler: { ...HANDLERS, path: '/h.ts' } }));
    await start();
    models[0]!.wearOut();
    await expect.poll(() => models[0]!.isUnloaded).toBe(true);
    expect([models.length, recycled, repository.isAllReady()]).toEqual([2, ['model'], true]);
    expect(lines.map(({ message }) => message)).toContain('Too many calls of the handler never came to an end: the model is loaded anew');
    models[0]!.wearOut();
    expect(models).toHaveLength(2);
  });

  it('that cannot be loaded anew goes on, is not counted, and is tried again after a pause', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { models, recycled, broken, specs, start } = setUp(['model.onnx'], () => ({ handler: { ...HANDLERS, path: '/h.ts' } }));
    await start();
    broken.is = true;
    models[0]!.wearOut();
    await expect.poll(() => specs).toHaveLength(2);
    models[0]!.wearOut();
    expect([specs.length, recycled, models[0]!.isUnloaded]).toEqual([2, [], false]);
    broken.is = false;
    vi.advanceTimersByTime(10_000);
    models[0]!.wearOut();
    await expect.poll(() => recycled).toEqual(['model']);
  });

  it('is left to a load that is in progress', async () => {
    const { repository, models, recycled, start } = setUp(['model.onnx'], () => ({ handler: { ...HANDLERS, path: '/h.ts' } }));
    await start();
    const loading = repository.load('model');
    models[0]!.wearOut();
    await loading;
    expect([models.length, recycled]).toEqual([2, []]);
  });
});

describe('watching', () => {
  const watched = (paths: readonly string[], handler?: string): Setup =>
    setUp(paths, (root) => ({ isWatching: true, handler: { ...HANDLERS, path: handler === undefined ? undefined : join(root, handler) } }));

  it('loads anew when the handler changes; a broken edit leaves the last good one, and the reason is logged', async () => {
    const { root, repository, models, specs, lines, broken, start } = watched(['model/model.onnx', 'h.ts', 'node_modules/x/y.js'], 'h.ts');
    await start();
    broken.is = true;
    writeFileSync(join(root, 'h.ts'), 'broken');
    await expect
      .poll(() => lines)
      .toContainEqual(
        expect.objectContaining({ fields: expect.objectContaining({ reason: 'Cannot load handler h.ts:3: Unexpected token' }) as object }),
      );
    expect(repository.isAllReady()).toBe(true);
    expect(models).toHaveLength(1);
    broken.is = false;
    writeFileSync(join(root, 'h.ts'), 'good again');
    await expect.poll(() => models[0]!.isUnloaded).toBe(true);
    expect([models.length, specs.length]).toEqual([2, 3]);
  });

  it('without a model directory, takes no notice of what else lies beside the handler', async () => {
    const { root, specs, lines, start } = setUp(['h.ts', 'model.onnx', 'notes.txt'], (at) => ({
      modelDir: undefined,
      isWatching: true,
      handler: { ...HANDLERS, path: join(at, 'h.ts') },
    }));
    await start();
    expect(specs[0]?.source).toBeUndefined();
    writeFileSync(join(root, 'notes.txt'), 'changed');
    writeFileSync(join(root, 'server.log'), 'changed');
    writeFileSync(join(root, 'h.ts'), 'changed');
    await expect.poll(() => specs).toHaveLength(2);
    writeFileSync(join(root, 'notes.txt'), 'changed again');
    writeFileSync(join(root, 'other.ts'), 'imported');
    await expect.poll(() => specs).toHaveLength(3);
    expect(lines.filter(({ message }) => message.startsWith('Files have changed'))).toHaveLength(2);
  });

  // A machine that stalls for a quarter of a second has left the files alone for so long.
  it('serves a new version of the model, and waits until its files are left alone', { retry: 3 }, async () => {
    const { root, repository, specs, start } = watched(['1/model.onnx']);
    await start();
    addFiles(root, '2/model.onnx');
    await new Promise<void>((written) => {
      let size = 0;
      const writing = setInterval(() => {
        writeFileSync(join(root, '2/model.onnx'), 'x'.repeat(++size));
        if (size < 40) return;
        clearInterval(writing);
        written();
      }, 20);
    });
    expect(specs).toHaveLength(1);
    await expect.poll(() => repository.find('model').version).toBe('2');
    expect(specs).toHaveLength(2);
    rmSync(join(root, '2'), { recursive: true });
    await expect.poll(() => repository.find('model').version).toBe('1');
  });
});
