import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import { createRepository, type ModelRepository } from '../../../src/repository/index.ts';
import type { ModelSource } from '../../../src/storage/index.ts';
import { FakeExecutor, type FakeModel } from './fake-executor.ts';
import { addFiles, detect, makeFiles } from './model-files.ts';

const POLL_MS = 10;

/** Storage whose one version the test sets; every fetch makes a directory of its own. */
class FakeSource implements ModelSource {
  readonly uri = 's3://models/m';
  readonly root = makeFiles();
  version = 'v1';
  paths: readonly string[] = ['model.onnx'];
  failure: Error | undefined;
  fetchFailure: Error | undefined;
  looks = 0;
  readonly fetched: string[] = [];
  readonly closed: string[] = [];

  look(): ReturnType<ModelSource['look']> {
    this.looks++;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const { version, paths } = this;
    return Promise.resolve({
      version,
      fetch: () => {
        if (this.fetchFailure !== undefined) return Promise.reject(this.fetchFailure);
        const dir = join(this.root, `${version}-${this.fetched.length}`);
        this.fetched.push(version);
        addFiles(dir, ...paths);
        const release = (): Promise<void> => rm(dir, { recursive: true });
        return Promise.resolve({ dir, release });
      },
      close: () => {
        this.closed.push(version);
      },
    });
  }

  set(version: string, ...paths: readonly string[]): void {
    this.version = version;
    this.paths = paths.length > 0 ? paths : this.paths;
  }
}

interface Setup {
  readonly source: FakeSource;
  readonly repository: ModelRepository;
  readonly models: FakeModel[];
  /** Versions of storage of which the load fails. */
  readonly broken: Set<string>;
  readonly updates: string[];
  readonly start: () => Promise<void>;
}

function setUp(paths: readonly string[] = ['model.onnx'], pollMs = POLL_MS): Setup {
  const source = new FakeSource();
  source.paths = paths;
  const broken = new Set<string>();
  const models: FakeModel[] = [];
  const updates: string[] = [];
  const repository = createRepository(
    {
      modelName: undefined,
      modelDir: undefined,
      isolation: 'process',
      instances: 1,
      loadTimeoutMs: 60_000,
      maxQueueSize: 10,
      warmUp: 'off',
      engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
      pollMs,
    },
    {
      createExecutor: ({ isolation }) =>
        new FakeExecutor(isolation, (load) => {
          const path = load.spec.source?.path ?? '';
          if ([...broken].some((version) => path.includes(`/${version}-`))) load.fail(new ServingError('model_failed', 'broken'));
          else models.push(load.succeed());
        }),
      detect,
      log: SILENT_LOGGER,
      observer: { updated: (name, outcome) => updates.push(`${name} ${outcome}`) },
      openSource: () => Promise.resolve(source),
    },
  );
  return { source, repository, models, broken, updates, start: () => repository.start(new AbortController().signal) };
}

const pathOf = (model: FakeModel | undefined): string => model?.spec.source?.path ?? '';

/** Waits until storage was asked so often again. */
async function looksAgain(source: FakeSource, times: number): Promise<void> {
  const wanted = source.looks + times;
  await expect.poll(() => source.looks, { interval: 5 }).toBeGreaterThanOrEqual(wanted);
}

async function updated(updates: readonly string[], count: number): Promise<void> {
  await expect.poll(() => updates.length, { interval: 5 }).toBeGreaterThanOrEqual(count);
}

async function gone(...paths: readonly string[]): Promise<void> {
  await expect.poll(() => paths.filter((path) => existsSync(path))).toEqual([]);
}

describe('a model of a source', () => {
  it('is fetched, loaded from where it was fetched to, and released at the end', async () => {
    const { source, repository, models, start } = setUp(['3/model.onnx', '2/model.onnx']);
    await start();
    expect(repository.find('model').version).toBe('3');
    expect(pathOf(models[0])).toBe(join(source.root, 'v1-0/3'));
    expect(source.closed).toEqual(['v1']);
    await repository.close(0);
    expect(existsSync(join(source.root, 'v1-0'))).toBe(false);
  });

  it('that cannot be listed or fetched fails the start with what storage said', async () => {
    const denied = new ServingError('permission_denied', 'Cannot download s3://models/m: access denied (403)');
    const unlisted = setUp();
    unlisted.source.failure = denied;
    await expect(unlisted.start()).rejects.toBe(denied);
    const unfetched = setUp();
    unfetched.source.fetchFailure = denied;
    await expect(unfetched.start()).rejects.toBe(denied);
    expect(unfetched.source.closed).toEqual(['v1']);
  });

  it('is named by its URI when it cannot be loaded', async () => {
    const { broken, source, start } = setUp();
    broken.add('v1');
    await expect(start()).rejects.toThrow('Cannot load model "model" from s3://models/m: broken');
    expect(existsSync(join(source.root, 'v1-0'))).toBe(false);
  });
});

describe('polling a source', () => {
  it('loads a new version beside the old one, whose files stay until it has answered', async () => {
    const { source, repository, models, updates, start } = setUp();
    await start();
    const ctx = { id: '1', protocol: 'v2-rest' as const, signal: new AbortController().signal, deadline: Infinity, headers: {}, log: SILENT_LOGGER };
    const answer = repository.find('model').scheduler.submit({ verb: 'infer', request: { modelName: 'model', inputs: [] } }, ctx);
    source.set('v2');
    await updated(updates, 1);
    expect(models.map(pathOf)).toEqual([join(source.root, 'v1-0'), join(source.root, 'v2-1')]);
    expect([updates, existsSync(join(source.root, 'v1-0'))]).toEqual([['model loaded'], true]);
    models[0]?.answerAll();
    await answer;
    await gone(join(source.root, 'v1-0'));
    expect(existsSync(join(source.root, 'v2-1'))).toBe(true);
    await repository.close(0);
  });

  it('fetches and loads nothing while storage stays as it is, and ends with the repository', async () => {
    const { source, repository, models, start } = setUp();
    await start();
    await looksAgain(source, 5);
    expect([source.fetched, models.length]).toEqual([['v1'], 1]);
    await repository.close(0);
    expect(source.closed).toHaveLength(source.looks);
  });

  it('keeps what serves beside a broken version, which is fetched once and tried ever more rarely', async () => {
    const { source, repository, models, broken, updates, start } = setUp();
    await start();
    broken.add('v2');
    source.set('v2');
    const since = performance.now();
    await looksAgain(source, 40);
    const intervals = (performance.now() - since) / POLL_MS;
    expect([repository.isAllReady(), models.length, source.fetched]).toEqual([true, 1, ['v1', 'v2']]);
    // After 2, 4, 8, 16… intervals, each counted from the last failure.
    expect(updates.length).toBeGreaterThan(1);
    expect(updates.length).toBeLessThanOrEqual(1 + Math.log2(intervals));
    expect(existsSync(join(source.root, 'v1-0'))).toBe(true);
    source.set('v3');
    await gone(join(source.root, 'v1-0'), join(source.root, 'v2-1'));
    expect([new Set(updates.slice(0, -1)), updates.at(-1)]).toEqual([new Set(['model failed']), 'model loaded']);
    expect(pathOf(models[1])).toBe(join(source.root, 'v3-2'));
    await repository.close(0);
  });

  it('goes back to the version that serves without fetching it again', async () => {
    const { source, repository, models, broken, updates, start } = setUp();
    await start();
    broken.add('v2');
    source.set('v2');
    await updated(updates, 1);
    source.set('v1');
    await gone(join(source.root, 'v2-1'));
    expect([source.fetched, models.length]).toEqual([['v1', 'v2'], 1]);
    await repository.close(0);
  });

  it.each(['failure', 'fetchFailure'] as const)(
    'keeps what serves when storage does not give the new version (%s), and asks ever more rarely',
    async (what) => {
      const { source, repository, updates, start } = setUp();
      await start();
      source.set('v2');
      source[what] = new ServingError('permission_denied', 'denied');
      const startedAt = performance.now();
      await updated(updates, 4);
      // 2 + 4 + 8 intervals of pauses between four failures; without them it would be 3.
      expect(performance.now() - startedAt).toBeGreaterThan(10 * POLL_MS);
      expect([repository.isAllReady(), new Set(updates)]).toEqual([true, new Set(['model failed'])]);
      source[what] = undefined;
      await expect.poll(() => updates.at(-1)).toBe('model loaded');
      await repository.close(0);
    },
  );

  it('loads what has changed of a repository, and keeps a model that is gone from storage', async () => {
    const { source, repository, models, updates, start } = setUp(['a/model.onnx', 'b/model.onnx']);
    await start();
    source.set('v2', 'a/2/model.onnx');
    await updated(updates, 2);
    expect(repository.index().map(({ name, version, state }) => `${name}/${version} ${state}`)).toEqual(['a/2 READY', 'b/1 READY']);
    expect(updates.toSorted().slice(0, 2)).toEqual(['a loaded', 'b failed']);
    expect(pathOf(models.at(-1))).toBe(join(source.root, 'v2-1/a/2'));
    expect(existsSync(join(source.root, 'v1-0/b/model.onnx'))).toBe(true);
    await repository.close(0);
  });
});

describe('the repository API', () => {
  it('loads what storage has now, and a model that was not there before', async () => {
    const { source, repository, start } = setUp(['a/model.onnx', 'b/model.onnx'], 0);
    await start();
    source.set('v2', 'a/7/model.onnx', 'b/model.onnx', 'c/model.onnx');
    await repository.load('a');
    await repository.load('c');
    expect(repository.index().map(({ name, version }) => `${name}/${version}`)).toEqual(['a/7', 'b/1', 'c/1']);
    expect(source.fetched).toEqual(['v1', 'v2']);
    await repository.close(0);
  });

  it('says what storage refuses, and what serves goes on', async () => {
    const { source, repository, start } = setUp(['model.onnx'], 0);
    await start();
    source.failure = new ServingError('permission_denied', 'Cannot download s3://models/m: access denied (403)');
    await expect(repository.load('model')).rejects.toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('403') as unknown });
    expect(repository.isAllReady()).toBe(true);
    await expect(repository.load('other')).rejects.toMatchObject({ reason: 'model_not_found' });
    await repository.close(0);
  });

  it('loads a worn out model anew from the version that serves, though there be a newer one that is broken', async () => {
    const { source, repository, models, broken, updates, start } = setUp();
    await start();
    broken.add('v2');
    source.set('v2');
    await updated(updates, 1);
    models[0]?.wearOut();
    await expect.poll(() => models.map(pathOf)).toEqual([join(source.root, 'v1-0'), join(source.root, 'v1-0')]);
    await repository.close(0);
  });
});
