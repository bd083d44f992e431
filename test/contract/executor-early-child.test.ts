import { afterEach, describe, expect, test } from 'vitest';
import { startEarlyChild, type EarlyChild, type Executor, type ProcessExecutorOptions } from '../../src/executor/index.ts';
import { create, isAlive, load, one, OPTIONS, pidOf } from './executor-children/fake-child.ts';

const started: EarlyChild[] = [];
afterEach(() => {
  for (const early of started.splice(0)) early.drop();
});

function startEarly(options: Partial<ProcessExecutorOptions> = {}): EarlyChild {
  const early = startEarlyChild({ ...OPTIONS, ...options });
  started.push(early);
  return early;
}

/** The process that loads a model, which answers a request there. */
async function loadIn(executor: Executor): Promise<number> {
  const model = await load(executor, 'echo', 1);
  expect((await model.run(one)).responses).toMatchObject([{ ok: true }]);
  return pidOf(model);
}

describe('a child that was started early', () => {
  test('is the first child of one executor', async () => {
    const early = startEarly();
    const { pid } = early;
    const [first, second] = [create({ early }), create({ early })];
    expect(early.pid).toBeUndefined();
    expect(await loadIn(first)).toBe(pid);
    expect(await loadIn(second)).not.toBe(pid);
  });

  test('is left alone by an executor of other options, and ends when it is dropped', async () => {
    const early = startEarly({ execArgv: ['--max-old-space-size=64'] });
    const { pid = 0 } = early;
    expect(await loadIn(create({ early }))).not.toBe(pid);
    expect(isAlive(pid)).toBe(true);
    early.drop();
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  test('that ended before it was taken is replaced by another', async () => {
    const early = startEarly();
    const { pid = 0 } = early;
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => isAlive(pid)).toBe(false);
    expect(await loadIn(create({ early }))).not.toBe(pid);
  });
});
