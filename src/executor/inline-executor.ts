import type { Batch, BatchResult } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import { settledWithin } from '../core/settled-within.ts';
import { loadPipeline, type Pipeline, type PipelineSpec } from '../pipeline/index.ts';
import { createDeferred } from './deferred.ts';
import type { Executor, ExecutorState, LoadedModel } from './executor.ts';
import { HostedModel, type ModelHost } from './hosted-model.ts';
import { loadAborted, loadWhileStopped, throwIfLoadAborted } from './load-abort.ts';
import { failBatch } from './running-batch.ts';

/** Runs pipelines in the serving process: no hop and least memory, but a crash of native code ends everything. */
export function createInlineExecutor(deps: { readonly log: Logger }): Executor {
  return new InlineExecutor(deps.log);
}

class InlineExecutor implements Executor {
  readonly isolation = 'inline';
  readonly #log: Logger;
  readonly #models = new Map<HostedModel, InlineHost>();
  #stopping: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  get state(): ExecutorState {
    if (this.#stopping !== undefined) return 'stopped';
    return this.#models.size === 0 ? 'idle' : 'ready';
  }

  async load(spec: PipelineSpec, instances: number, signal: AbortSignal): Promise<LoadedModel> {
    if (this.#hasStopped()) throw loadWhileStopped(spec);
    const pipeline = await this.#loadOrAbort(spec, signal);
    if (this.#hasStopped()) {
      await pipeline.dispose();
      throw loadWhileStopped(spec);
    }
    const host = new InlineHost(pipeline);
    const model = new HostedModel(spec, instances, pipeline, (self) => this.#unload(self, host));
    this.#models.set(model, host);
    model.moveTo(host);
    return model;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  #hasStopped(): boolean {
    return this.#stopping !== undefined;
  }

  /** A load in this process cannot be stopped: given up, it is freed when it arrives. */
  async #loadOrAbort(spec: PipelineSpec, signal: AbortSignal): Promise<Pipeline> {
    throwIfLoadAborted(signal, spec);
    const { promise: aborted, resolve: giveUp } = createDeferred<undefined>();
    const onAbort = (): void => {
      giveUp(undefined);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const loading = loadPipeline(spec, { log: this.#log });
    try {
      const pipeline = await Promise.race([loading, aborted]);
      if (pipeline !== undefined) return pipeline;
      this.#freeLater(loading);
      throw loadAborted(signal, spec);
    } catch (error) {
      throw toServingError(error, 'model_failed', `Cannot load model "${spec.modelName}"`);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #freeLater(loading: Promise<Pipeline>): void {
    loading
      .then((pipeline) => pipeline.dispose())
      .catch((error: unknown) => {
        this.#log.debug({ err: error }, 'A load that was given up failed');
      });
  }

  async #unload(model: HostedModel, host: InlineHost): Promise<void> {
    this.#models.delete(model);
    model.close();
    await model.untilIdle();
    await host.dispose();
  }

  async #stop(graceMs: number): Promise<void> {
    const models = [...this.#models];
    this.#models.clear();
    for (const [model] of models) model.close();
    await settledWithin(Promise.all(models.map(([model]) => model.untilIdle())), graceMs);
    for (const [, host] of models) host.abandonRuns();
    const disposed = Promise.all(models.map(([, host]) => host.dispose()));
    // Freeing waits for native runs; one that cannot be stopped is left to the end of the process.
    if (!(await settledWithin(disposed, DISPOSE_TIMEOUT_MS))) this.#log.warn({}, 'Stopped while a model was still running');
  }
}

const DISPOSE_TIMEOUT_MS = 500;

/** A pipeline with a way out for those who wait on it. */
class InlineHost implements ModelHost {
  readonly #pipeline: Pipeline;
  /** An array: a Set that grows and shrinks with each request leaves its old tables to the full collections. */
  readonly #running: { readonly batch: Batch; readonly resolve: (result: BatchResult) => void }[] = [];
  #disposed: Promise<void> | undefined;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  get isConcurrent(): boolean {
    return this.#pipeline.isConcurrent;
  }

  get concurrency(): number | undefined {
    return this.#pipeline.concurrency;
  }

  run(batch: Batch): Promise<BatchResult> {
    const { promise, resolve } = createDeferred<BatchResult>();
    const running = { batch, resolve };
    this.#running.push(running);
    this.#pipeline.run(batch).then(resolve, (error: unknown) => {
      resolve(failBatch(batch, toServingError(error)));
    });
    return promise.finally(() => {
      this.#running.splice(this.#running.indexOf(running), 1);
    });
  }

  /** Settles what still runs; the runs themselves go on until their signals abort. */
  abandonRuns(): void {
    const error = new ServingError('executor_lost', 'The model was stopped while it had the request');
    for (const { batch, resolve } of this.#running) resolve(failBatch(batch, error));
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#pipeline.dispose();
    return this.#disposed;
  }
}
