import { afterEach } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { createProcessExecutor, type Executor, type LoadedModel, type ProcessExecutorOptions } from '../../../src/executor/index.ts';
import type { PipelineSpec } from '../../../src/pipeline/index.ts';
import { batchOf, memberOf } from '../describe-executor.ts';
import { FAKE_CHILD_ENTRY } from './entries.ts';

export const OPTIONS: ProcessExecutorOptions = { childEntry: FAKE_CHILD_ENTRY, stopTimeoutMs: 200, env: process.env };

const executors: Executor[] = [];
afterEach(async () => {
  await Promise.all(executors.splice(0).map((executor) => executor.stop(0)));
});

/** With fake children, stopped when the test is over. */
export function create(options: Partial<ProcessExecutorOptions> = {}, deps: Partial<Parameters<typeof createProcessExecutor>[1]> = {}): Executor {
  const executor = createProcessExecutor({ ...OPTIONS, ...options }, { log: SILENT_LOGGER, ...deps });
  executors.push(executor);
  return executor;
}

/** In the fake child a model does what its name says. */
export const specOf = (behaviour: string): PipelineSpec => ({
  modelName: behaviour,
  modelVersion: '1',
  source: { path: '/' },
  engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
});

export const forever = (): AbortSignal => new AbortController().signal;

export const load = (executor: Executor, behaviour: string, instances = 2): Promise<LoadedModel> =>
  executor.load(specOf(behaviour), instances, forever());

export const input: Tensor = { name: 'x', datatype: 'INT32', shape: [2], data: new Int32Array([1, -2]) };

export const one = batchOf(memberOf([input]));

/** Of the process that a model is loaded in. */
export const pidOf = (model: LoadedModel): number => Number(model.properties['pid']);

/** Running, not only waiting to be reaped. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
