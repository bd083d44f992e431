import { afterEach, describe, expect, test } from 'vitest';
import { SILENT_LOGGER } from '../../src/core/context.ts';
import { createProcessExecutor, startEarlyChild, type EarlyChild, type Executor, type ProcessExecutorOptions } from '../../src/executor/index.ts';
import { batchOf, memberOf } from './describe-executor.ts';
import { FAKE_CHILD_ENTRY } from './executor-children/entries.ts';

const OPTIONS: ProcessExecutorOptions = { childEntry: FAKE_CHILD_ENTRY, stopTimeoutMs: 200, env: process.env };

const executors: Executor[] = [];
const started: EarlyChild[] = [];
afterEach(async () => {
  await Promise.all(executors.splice(0).map((executor) => executor.stop(0)));
  for (const early of started.splice(0)) early.drop();
});

function startEarly(options: Partial<ProcessExecutorOptions> = {}): EarlyChild {
  const early = startEarlyChild({ ...OPTIONS, ...options });
  started.push(early);
  return early;
}

function create(early: EarlyChild): Executor {
  const executor = createProcessExecutor({ ...OPTIONS, early }, { log: SILENT_LOGGER });
  executors.push(executor);
  return executor;
}

/** The process that loads a model, which answers a request there. */
async function loadIn(executor: Executor): Promise<number> {
  const engineOptions = { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } as const;
  const model = await executor.load({ modelName: 'echo', modelVersion: '1', source: { path: '/' }, engineOptions }, 1, new AbortController().signal);
  const input = { name: 'x', datatype: 'INT32', shape: [2], data: new Int32Array([1, -2]) } as const;
  expect((await model.run(batchOf(memberOf([input])))).responses).toMatchObject([{ ok: true }]);
  return Number(model.properties['pid']);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a child that was started early', () => {
  test('is the first child of one executor', async () => {
    const early = startEarly();
    const { pid } = early;
    const [first, second] = [create(early), create(early)];
    expect(early.pid).toBeUndefined();
    expect(await loadIn(first)).toBe(pid);
    expect(await loadIn(second)).not.toBe(pid);
  });

  test('is left alone by an executor of other options, and ends when it is dropped', async () => {
    const early = startEarly({ execArgv: ['--max-old-space-size=64'] });
    const { pid = 0 } = early;
    expect(await loadIn(create(early))).not.toBe(pid);
    expect(isAlive(pid)).toBe(true);
    early.drop();
    await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false);
  });

  test('that ended before it was taken is replaced by another', async () => {
    const early = startEarly();
    const { pid = 0 } = early;
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false);
    expect(await loadIn(create(early))).not.toBe(pid);
  });
});
