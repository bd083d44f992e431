import type { Executor } from '../executor/index.ts';
import type { PipelineSpec } from '../pipeline/index.ts';

/** What an executor is wanted for. `inline` is made once and shared, `process` for one load of one model. */
export type ExecutorPurpose =
  | { readonly isolation: 'inline' }
  | {
      readonly isolation: 'process';
      readonly modelName: string;
      /** It runs user code. */
      readonly hasHandler?: true;
    };

/** By default a model has a process of its own where it is not the only one, or runs user code. */
export function purposeOf({ modelName, handler }: PipelineSpec, isolation: 'auto' | 'inline' | 'process', models: number): ExecutorPurpose {
  const isProcess = isolation === 'auto' ? models > 1 || handler !== undefined : isolation === 'process';
  if (!isProcess) return { isolation: 'inline' };
  return handler === undefined ? { isolation: 'process', modelName } : { isolation: 'process', modelName, hasHandler: true };
}

export type CreateExecutor = (purpose: ExecutorPurpose) => Executor;

/** The use of an executor by one loaded model. */
export interface ExecutorLease {
  readonly executor: Executor;
  /** The model is gone: a process of its own ends, the shared executor stays. */
  end(graceMs: number): Promise<void>;
}

/** Owns every executor: one process for each loaded model, so that a crash takes nobody else with it, or one inline executor for all. */
export class ExecutorPool {
  readonly #create: CreateExecutor;
  #shared: Executor | undefined;
  readonly #own = new Set<Executor>();

  constructor(create: CreateExecutor) {
    this.#create = create;
  }

  lease(purpose: ExecutorPurpose): ExecutorLease {
    if (purpose.isolation === 'inline') {
      this.#shared ??= this.#create(purpose);
      return { executor: this.#shared, end: () => Promise.resolve() };
    }
    const executor = this.#create(purpose);
    this.#own.add(executor);
    return {
      executor,
      end: async (graceMs) => {
        await executor.stop(graceMs);
        this.#own.delete(executor);
      },
    };
  }

  async stop(graceMs: number): Promise<void> {
    const executors = this.#shared === undefined ? [...this.#own] : [this.#shared, ...this.#own];
    await Promise.allSettled(executors.map((executor) => executor.stop(graceMs)));
    this.#own.clear();
  }
}
