import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import { settledWithin } from '../core/settled-within.ts';
import { whyNoRows } from '../core/rows.ts';
import type { ColdModel, LoadedModel } from '../executor/index.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import {
  createScheduler,
  type BatchPolicy,
  type Clock,
  type QueuePolicy,
  type RunSlots,
  type Scheduler,
  type SchedulerObserver,
} from '../scheduler/index.ts';
import type { ExecutorLease } from './executor-pool.ts';
import type { ModelLocation, ModelVersion } from './layout.ts';
import { specify, type SpecDependencies, type SpecOptions } from './model-spec.ts';
import type { ServedModel } from './repository.ts';
import { warmUp, type WarmUpOptions } from './warm-up.ts';

export interface LoadOptions extends SpecOptions, Pick<WarmUpOptions, 'warmUp'> {
  readonly loadTimeoutMs: number;
  readonly maxQueueSize: number;
  /** How requests that wait become batches, where the model takes more than one at a time. */
  readonly batchPolicy?: BatchPolicy;
  readonly queuePolicy?: QueuePolicy;
}

export interface LoadDependencies extends SpecDependencies {
  readonly lease: (spec: PipelineSpec) => ExecutorLease;
  /** Connects telemetry to the queue of one model. */
  readonly observeModel?: (modelName: string, version: string) => SchedulerObserver;
  /** Of the runs in this process, shared by its models. */
  readonly inlineSlots?: RunSlots;
  readonly clock?: Clock;
}

/** A version of a model in its executor, with its queue. Owns both, and the lease, until it is retired. */
export class LoadedVersion implements ServedModel {
  readonly name: string;
  readonly version: string;
  readonly scheduler: Scheduler;
  readonly #model: LoadedModel;
  readonly #lease: ExecutorLease;
  readonly #log: Logger;
  #retirement: Promise<void> | undefined;
  #retiredBy = Infinity;
  #onFreed: (() => void) | undefined;

  constructor(name: string, version: string, scheduler: Scheduler, model: LoadedModel, lease: ExecutorLease, log: Logger) {
    this.name = name;
    this.version = version;
    this.scheduler = scheduler;
    this.#model = model;
    this.#lease = lease;
    this.#log = log;
  }

  get signature(): Signature {
    return this.#model.signature;
  }

  get capabilities(): Capabilities {
    return this.#model.capabilities;
  }

  get platform(): string {
    return this.#model.platform;
  }

  get properties(): Readonly<Record<string, string>> {
    return this.#model.properties;
  }

  get isReady(): boolean {
    return this.#model.capacity > 0;
  }

  /** As of LoadedModel. */
  onWornOut(listener: () => void): void {
    this.#model.onWornOut(listener);
  }

  /** `listener` is called once, when its files are needed no more. */
  onFreed(listener: () => void): void {
    this.#onFreed = listener;
  }

  /** Answers what it has, at most for `graceMs`, then frees the model. Never rejects. Called again, it hurries: the earliest end holds. */
  async retire(graceMs: number): Promise<void> {
    this.#retiredBy = Math.min(this.#retiredBy, performance.now() + graceMs);
    const drained = this.scheduler.drain(graceMs);
    this.#retirement ??= this.#free(drained);
    await this.#retirement;
  }

  async #free(drained: Promise<void>): Promise<void> {
    await drained;
    const left = (): number => Math.max(0, this.#retiredBy - performance.now());
    const failed = (error: unknown): void => {
      this.#log.warn({ err: error, model: this.name, version: this.version }, 'Model was not freed cleanly');
    };
    await settledWithin(this.#model.unload().catch(failed), left());
    await this.#lease.end(left()).catch(failed);
    this.#onFreed?.();
  }
}

/**
 * Loads one version and warms it up. Rejects with ServingError: what the executor says, or deadline_exceeded after `loadTimeoutMs`, or the reason of `signal`. An executor
 * that cannot be interrupted is not waited for: what it loads in the end is freed again.
 */
export async function loadVersion(
  location: ModelLocation,
  newest: ModelVersion,
  options: LoadOptions,
  deps: LoadDependencies,
  signal: AbortSignal,
): Promise<LoadedVersion> {
  signal.throwIfAborted();
  const spec = await specify(location, newest, options, deps);
  const { modelName: name, modelVersion: version } = spec;
  const lease = deps.lease(spec);
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(new ServingError('deadline_exceeded', `not loaded within ${options.loadTimeoutMs} ms`));
  }, options.loadTimeoutMs);
  const giveUp = AbortSignal.any([signal, deadline.signal]);
  try {
    const model = await untilAborted(lease.executor.load(spec, options.instances, giveUp), giveUp, (late) => late.unload());
    const log = deps.log.child({ model: name, version });
    const warm = (cold: ColdModel, until: AbortSignal): Promise<void> => warmUp(cold, name, [newest.path, location.path], options, log, until);
    await unloadUnless(model, warm(model, giveUp));
    model.onReplacement?.((replacement) => warm(replacement, signal));
    const observer = deps.observeModel?.(name, version);
    const scheduler = createScheduler(
      {
        modelName: name,
        maxQueueSize: options.maxQueueSize,
        countsRows: whyNoRows(model.signature) === undefined,
        ...(options.batchPolicy === undefined ? {} : { batching: options.batchPolicy }),
        ...(options.queuePolicy === undefined ? {} : { queue: options.queuePolicy }),
      },
      {
        runner: model,
        log,
        ...slotsFor(model, lease, deps),
        ...(observer === undefined ? {} : { observer }),
        ...(deps.clock === undefined ? {} : { clock: deps.clock }),
      },
    );
    return new LoadedVersion(name, version, scheduler, model, lease, log);
  } catch (error) {
    await lease.end(0).catch((failure: unknown) => {
      deps.log.warn({ err: failure, model: name }, 'Executor did not stop after a failed load');
    });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** User code mostly waits, and its calls of the engine have a gate of their own. */
function slotsFor(model: LoadedModel, { executor }: ExecutorLease, { inlineSlots }: LoadDependencies): { readonly slots?: RunSlots } {
  const shares = executor.isolation === 'inline' && model.capabilities.runsUserCode !== true;
  return shares && inlineSlots !== undefined ? { slots: inlineSlots } : {};
}

/** A model that nobody got to see is freed here when it fails. */
async function unloadUnless(model: LoadedModel, isWarm: Promise<void>): Promise<void> {
  try {
    await isWarm;
  } catch (error) {
    await model.unload();
    throw error;
  }
}

/** `work`, or the signal's reason as soon as it aborts; a result that comes later is given to `discard`. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal, discard: (late: T) => Promise<void>): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => undefined);
  try {
    return await Promise.race([aborted, work]);
  } catch (error) {
    if (signal.aborted) work.then(discard).catch(() => undefined);
    throw error;
  }
}
