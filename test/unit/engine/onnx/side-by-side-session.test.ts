import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import type { Tensor } from '../../../../src/core/tensor.ts';
import type { EngineSession } from '../../../../src/engine/index.ts';
import { fitsTwice, SideBySideSession } from '../../../../src/engine/onnx/side-by-side-session.ts';

/** Runs end when the test says so, each taking `ms` of the clock. */
class FakeSession implements EngineSession {
  readonly signature = { inputs: [], outputs: [] };
  readonly platform = 'fake';
  readonly properties = {};
  readonly isConcurrent = true;
  readonly isCancellable = true;
  runs = 0;
  isDisposed = false;
  #ends: (() => void)[] = [];

  async run(): Promise<readonly Tensor[]> {
    this.runs++;
    await new Promise<void>((resolve) => this.#ends.push(resolve));
    return [];
  }

  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  dispose(): Promise<void> {
    this.isDisposed = true;
    return Promise.resolve();
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function setUp(loadBeside?: () => Promise<EngineSession>): {
  lone: FakeSession;
  beside: FakeSession;
  session: SideBySideSession;
  loads: () => number;
} {
  const [lone, beside] = [new FakeSession(), new FakeSession()];
  let loads = 0;
  const load = (): Promise<EngineSession> => {
    loads++;
    return loadBeside?.() ?? Promise.resolve(beside);
  };
  return { lone, beside, session: new SideBySideSession(lone, load, SILENT_LOGGER), loads: () => loads };
}

/** `times` pairs of runs side by side, each `ms` long. */
async function runPairs(
  { lone, beside, session }: Pick<ReturnType<typeof setUp>, 'lone' | 'beside' | 'session'>,
  times: number,
  ms: number,
): Promise<void> {
  for (let i = 0; i < times; i++) {
    const both = [session.run([], []), session.run([], [])];
    vi.advanceTimersByTime(ms);
    lone.end();
    beside.end();
    await Promise.all(both);
  }
}

describe('a model whose runs may have threads of their own', () => {
  test('is loaded a second time after a few long runs side by side; lone runs keep the first session', async () => {
    const model = setUp();
    await runPairs(model, 3, 10);
    expect(model.loads()).toBe(0);
    await runPairs(model, 1, 10);
    expect([model.loads(), model.lone.runs, model.beside.runs]).toEqual([1, 8, 0]);
    await runPairs(model, 2, 10);
    expect([model.loads(), model.lone.runs, model.beside.runs]).toEqual([1, 10, 2]);
    const alone = model.session.run([], []);
    model.lone.end();
    await alone;
    expect([model.lone.runs, model.beside.runs]).toEqual([11, 2]);
  });

  test('is loaded once where its runs are short or never meet', async () => {
    const model = setUp();
    await runPairs(model, 20, 1);
    for (let i = 0; i < 20; i++) {
      const alone = model.session.run([], []);
      vi.advanceTimersByTime(10);
      model.lone.end();
      await alone;
    }
    expect([model.loads(), model.lone.runs]).toEqual([0, 60]);
  });

  test('has one session for all runs when the second cannot be loaded', async () => {
    const model = setUp(() => Promise.reject(new Error('out of memory')));
    await runPairs(model, 10, 10);
    expect([model.loads(), model.lone.runs]).toEqual([1, 20]);
    await model.session.dispose();
    expect(model.lone.isDisposed).toBe(true);
  });

  test('frees the second session, too, when it is disposed of while that one loads', async () => {
    let finish: (session: EngineSession) => void = () => undefined;
    const model = setUp(() => new Promise((resolve) => (finish = resolve)));
    await runPairs(model, 4, 10);
    const disposed = model.session.dispose();
    await expect(model.session.run([], [])).rejects.toMatchObject({ reason: 'model_failed' });
    finish(model.beside);
    await disposed;
    expect([model.lone.isDisposed, model.beside.isDisposed]).toEqual([true, true]);
  });
});

describe('fitsTwice', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kserve-node-twice-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('counts the files beside the model: weights may lie there', async () => {
    writeFileSync(join(folder, 'model.onnx'), 'x');
    expect(await fitsTwice(join(folder, 'model.onnx'))).toBe(true);
    writeFileSync(join(folder, 'weights.bin'), '');
    // Sparse: it takes no room on disk.
    truncateSync(join(folder, 'weights.bin'), 2 ** 42);
    expect(await fitsTwice(join(folder, 'model.onnx'))).toBe(false);
  });
});
