import { fileURLToPath } from 'node:url';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import { settledWithin } from '../core/settled-within.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import { Backoff, DEFAULT_BACKOFF, type BackoffOptions } from './backoff.ts';
import { readBuildId } from './build-id.ts';
import { describeEnd } from './child-end.ts';
import { EarlyChild, PREPARE_ENGINE, type ChildCommand } from './child-spawn.ts';
import { ChildSession, type ChildSessionOptions } from './child-session.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import { filterEnvironment } from './environment.ts';
import type { Executor, ExecutorObserver, ExecutorState, LoadedModel } from './executor.ts';
import { HostedModel, type ModelHost } from './hosted-model.ts';
import { loadWhileStopped, throwIfLoadAborted } from './load-abort.ts';
import type { LoadedInChild } from './loaded-codec.ts';

export interface ProcessExecutorOptions {
  /** The program of a child. */
  readonly childEntry: URL | string;
  /** How long a run whose members are all gone may go on before its child is killed; other batches in that child are lost with it. */
  readonly stopTimeoutMs: number;
  /** The server's environment; the child sees a part of it (see environment.ts). */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Names of further variables that the child sees. */
  readonly extraEnv?: readonly string[];
  readonly execArgv?: readonly string[];
  /** The child opens the engine's library before it is told what to load. */
  readonly preparesEngine?: boolean;
  /** Taken for the first child, where it was started with the same options. */
  readonly early?: EarlyChild;
  readonly restart?: Partial<RestartOptions>;
}

export interface RestartOptions extends BackoffOptions {
  /** From spawn to the child's first word. */
  readonly helloTimeoutMs: number;
  /** For loading one model again after a restart. */
  readonly reloadTimeoutMs: number;
}

/** A child's garbage is frames and small objects; a larger young generation is memory for nothing. */
const V8_OPTIONS = ['--max-semi-space-size=4'];

const DEFAULT_RESTART: RestartOptions = { ...DEFAULT_BACKOFF, helloTimeoutMs: 30_000, reloadTimeoutMs: 300_000 };

/** An idle child that is told to stop exits at once; a stuck one is killed after this time. */
const STOP_TIMEOUT_MS = 2000;

/**
 * Runs pipelines in one supervised child, which starts right away, hosts all models loaded here, ends with the last of them and is replaced when it
 * dies. Throws when `childEntry` is not there.
 */
export function createProcessExecutor(
  options: ProcessExecutorOptions,
  deps: { readonly log: Logger; readonly observer?: ExecutorObserver },
): Executor {
  return new ProcessExecutor(options, deps.log, deps.observer ?? {});
}

/** Starts what the first child of an executor with these options will be. */
export function startEarlyChild(options: ProcessExecutorOptions): EarlyChild {
  return new EarlyChild(commandOf(options));
}

function commandOf({ childEntry, execArgv = [], env, extraEnv, preparesEngine }: ProcessExecutorOptions): ChildCommand {
  return {
    entry: childEntry instanceof URL ? fileURLToPath(childEntry) : childEntry,
    args: preparesEngine === true ? [PREPARE_ENGINE] : [],
    execArgv: [...V8_OPTIONS, ...execArgv],
    env: filterEnvironment(env, extraEnv),
  };
}

/** A model and the child that has it, undefined while that is being replaced. */
interface Placement {
  readonly number: number;
  session: ChildSession | undefined;
}

class ProcessExecutor implements Executor {
  readonly isolation = 'process';
  readonly #options: ChildSessionOptions;
  readonly #reloadTimeoutMs: number;
  readonly #backoff: Backoff;
  readonly #log: Logger;
  readonly #observer: ExecutorObserver;
  readonly #models = new Map<HostedModel, Placement>();
  /** Models that take no more batches but may have some in flight. */
  readonly #leaving = new Set<HostedModel>();
  /** The child that takes loads. */
  #session: ChildSession | undefined;
  /** Children on their way out. */
  readonly #ending = new Set<Promise<unknown>>();
  #lastModel = 0;
  #loading = 0;
  #recovery: Promise<void> | undefined;
  /** The wait before the next attempt to bring the child back; resolved early by stop(). */
  #pause: Deferred<undefined> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ProcessExecutorOptions, log: Logger, observer: ExecutorObserver) {
    const restart: RestartOptions = { ...DEFAULT_RESTART, ...options.restart };
    const command = commandOf(options);
    this.#options = {
      command,
      ...(options.early === undefined ? {} : { early: options.early }),
      buildId: readBuildId(command.entry),
      helloTimeoutMs: restart.helloTimeoutMs,
      stopTimeoutMs: options.stopTimeoutMs,
    };
    this.#reloadTimeoutMs = restart.reloadTimeoutMs;
    this.#backoff = new Backoff(restart);
    this.#log = log;
    this.#observer = observer;
    this.#session = this.#start();
  }

  get state(): ExecutorState {
    if (this.#hasStopped()) return 'stopped';
    if (this.#models.size === 0) return 'idle';
    if (this.#downModels().length === 0) return 'ready';
    return this.#backoff.isFailing ? 'failed' : 'restarting';
  }

  async load(spec: PipelineSpec, instances: number, signal: AbortSignal): Promise<LoadedModel> {
    if (this.#hasStopped()) throw loadWhileStopped(spec);
    throwIfLoadAborted(signal, spec);
    const placement: Placement = { number: ++this.#lastModel, session: undefined };
    const session = (this.#session ??= this.#start());
    this.#loading++;
    // Loading may block the child's loop, so nothing less ends it; what else runs in the child is lost and comes back.
    const giveUp = (): void => {
      session.kill(`loading model "${spec.modelName}" was given up`, true);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const loaded = await this.#loadInto(session, placement.number, spec);
      const model = new HostedModel(spec, instances, loaded, (self) => this.#unload(self, placement));
      this.#models.set(model, placement);
      moveTo(model, placement, session, loaded);
      return model;
    } catch (error) {
      if (this.#hasStopped()) throw loadWhileStopped(spec);
      throwIfLoadAborted(signal, spec);
      throw toServingError(error, 'model_failed', `Cannot load model "${spec.modelName}"`);
    } finally {
      signal.removeEventListener('abort', giveUp);
      this.#loading--;
      void this.#endIfUnused();
    }
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    const models = [...this.#models.keys(), ...this.#leaving];
    this.#models.clear();
    for (const model of models) model.close();
    this.#pause?.resolve(undefined);
    const isIdle = await settledWithin(Promise.all(models.map((model) => model.untilIdle())), graceMs);
    if (this.#session !== undefined) void this.#end(this.#session, isIdle && this.#loading === 0 ? STOP_TIMEOUT_MS : 0);
    await Promise.all([...this.#ending, this.#recovery]);
  }

  #hasStopped(): boolean {
    return this.#stopping !== undefined;
  }

  /** A load whose child died right behind the answer has failed. */
  async #loadInto(session: ChildSession, number: number, spec: PipelineSpec): Promise<LoadedInChild> {
    const loaded = await session.load(number, spec);
    if (session.isLost) throw new ServingError('model_failed', `Cannot load model "${spec.modelName}": its process is gone`);
    return loaded;
  }

  async #unload(model: HostedModel, placement: Placement): Promise<void> {
    this.#models.delete(model);
    this.#leaving.add(model);
    model.close();
    await model.untilIdle();
    this.#leaving.delete(model);
    const { session } = placement;
    await this.#endIfUnused();
    if (session !== undefined && session === this.#session) await session.unload(placement.number);
  }

  async #endIfUnused(): Promise<void> {
    const isUsed = this.#models.size > 0 || this.#leaving.size > 0 || this.#loading > 0;
    if (!isUsed && this.#session !== undefined) await this.#end(this.#session, STOP_TIMEOUT_MS);
  }

  #end(session: ChildSession, waitMs: number): Promise<unknown> {
    if (this.#session === session) this.#session = undefined;
    return this.#track(session.stop(waitMs));
  }

  #track(ending: Promise<unknown>): Promise<unknown> {
    this.#ending.add(ending);
    return ending.finally(() => this.#ending.delete(ending));
  }

  #start(): ChildSession {
    const session: ChildSession = new ChildSession(
      this.#options,
      {
        started: () => {
          this.#observer.started?.();
        },
        lost: (isBlameless) => {
          this.#lose(session, isBlameless);
        },
        ended: (end) => {
          const why = describeEnd(end);
          this.#log.error({ ...end }, `A model process was lost: it ${why}`);
          this.#observer.lost?.(why);
        },
      },
      this.#log,
    );
    return session;
  }

  #downModels(): readonly HostedModel[] {
    return [...this.#models.keys()].filter((model) => !model.isUp);
  }

  #lose(session: ChildSession, isBlameless: boolean): void {
    if (this.#session === session) this.#session = undefined;
    void this.#track(session.ended);
    for (const [model, placement] of this.#models) {
      if (placement.session !== session) continue;
      placement.session = undefined;
      model.moveTo(undefined);
    }
    if (this.#downModels().length > 0) this.#recovery ??= this.#recover(isBlameless);
  }

  /** The one owner of restarts: tries until every model is up again, ever more rarely. Never rejects. */
  async #recover(isBlameless: boolean): Promise<void> {
    const lostAt = performance.now();
    // A child killed because of an abandoned run is not to blame: its models come back at once.
    let delayMs = isBlameless ? 0 : this.#backoff.next(lostAt);
    for (;;) {
      await this.#wait(delayMs);
      for (const model of this.#downModels()) await this.#reload(model);
      // Who still has none, or is lost again and again, does not keep clients waiting.
      for (const model of this.#backoff.isFailing ? this.#models.keys() : this.#downModels()) model.giveUpRepeating();
      if (this.#downModels().length === 0) break;
      delayMs = this.#backoff.next(performance.now());
    }
    this.#recovery = undefined;
    if (this.#models.size === 0) return;
    this.#backoff.recover(performance.now());
    const downMs = performance.now() - lostAt;
    this.#log.info({ downMs: Math.round(downMs), pid: this.#session?.pid }, 'A model process is back');
    this.#observer.restarted?.(downMs);
  }

  async #wait(ms: number): Promise<void> {
    if (this.#hasStopped()) return;
    this.#pause = createDeferred<undefined>();
    await settledWithin(this.#pause.promise, ms);
    this.#pause = undefined;
  }

  async #reload(model: HostedModel): Promise<void> {
    const placement = this.#models.get(model);
    // It may have been unloaded while others were loading.
    if (placement === undefined) return;
    const { number } = placement;
    let timer: NodeJS.Timeout | undefined;
    try {
      const session = (this.#session ??= this.#start());
      timer = setTimeout(() => {
        session.kill(`loading model "${model.spec.modelName}" again took longer than ${this.#reloadTimeoutMs} ms`);
      }, this.#reloadTimeoutMs);
      const loaded = await this.#loadInto(session, number, model.spec);
      if (this.#models.has(model)) await this.#warmUp(model, session, hostOf(model, placement, session, loaded));
      if (this.#models.has(model)) moveTo(model, placement, session, loaded);
      else await session.unload(number);
    } catch (error) {
      const { message, details } = toServingError(error, 'model_failed', 'Cannot start a model process');
      if (!this.#hasStopped()) this.#log.error({ model: model.spec.modelName, details, err: error }, message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A replacement that refuses what warmed the first one is better than none; rejects when it is lost meanwhile. */
  async #warmUp(model: HostedModel, session: ChildSession, host: ModelHost): Promise<void> {
    const { modelName } = model.spec;
    try {
      await model.warmUp(host);
    } catch (error) {
      if (!session.isLost && !this.#hasStopped()) this.#log.warn({ model: modelName, err: error }, 'A model that is back was not warmed up');
    }
    if (session.isLost) throw new ServingError('model_failed', `Cannot warm up model "${modelName}": its process is gone`);
  }
}

function moveTo(model: HostedModel, placement: Placement, session: ChildSession, loaded: LoadedInChild): void {
  placement.session = session;
  model.moveTo(hostOf(model, placement, session, loaded));
}

function hostOf({ spec }: HostedModel, { number }: Placement, session: ChildSession, { isConcurrent, concurrency }: LoadedInChild): ModelHost {
  const isRich = spec.handler !== undefined || spec.predictor !== undefined;
  return { isConcurrent, concurrency, run: (batch) => session.run(number, batch, isRich) };
}
