import type { Batch } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import { settledWithin } from '../core/settled-within.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import { decodeError, decodeResult, encodeBatch } from './batch-codec.ts';
import { describeEnd, type ChildEnd } from './child-end.ts';
import { ChildLink, type ChildLinkOptions } from './child-link.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import type { Frame } from './frame.ts';
import { writeChildLog } from './frame-log.ts';
import { decodeLoaded, type LoadedInChild } from './loaded-codec.ts';
import { failBatch, loseBatch, RunningBatch, type HostResult } from './running-batch.ts';
import { asRecord, malformed } from './tensor-codec.ts';

export interface ChildSessionOptions extends ChildLinkOptions {
  /** What the child's hello must say. */
  readonly buildId: string;
  /** From spawn to hello. */
  readonly helloTimeoutMs: number;
  /** How long a run whose members are all gone may go on before the child is killed. */
  readonly stopTimeoutMs: number;
}

export interface ChildSessionHandlers {
  /** The child is gone or about to be killed. Called once, before anything in flight fails, so that nobody sends it more work. Not after `stop`. */
  lost(isBlameless: boolean): void;
  /** It has ended after `lost`. */
  ended(end: ChildEnd): void;
}

/** Freeing a model waits for nothing but native code. */
const UNLOAD_TIMEOUT_MS = 10_000;

/** One life of a child, from spawn to exit: everything asked of it settles, at the latest when it ends. */
export class ChildSession {
  readonly #options: ChildSessionOptions;
  readonly #log: Logger;
  readonly #handlers: ChildSessionHandlers;
  readonly #link: ChildLink;
  readonly #hello = createDeferred<undefined>();
  readonly #helloTimer: NodeJS.Timeout;
  readonly #ended = createDeferred<ChildEnd>();
  readonly #loads = new Map<number, PendingLoad>();
  readonly #unloads = new Map<number, Deferred<undefined>>();
  readonly #runs = new Map<number, RunningBatch>();
  #lastRun = 0;
  #isLost = false;
  #isStopped = false;

  /** Throws when nothing can be spawned. */
  constructor(options: ChildSessionOptions, handlers: ChildSessionHandlers, log: Logger) {
    this.#options = options;
    this.#handlers = handlers;
    this.#log = log;
    this.#link = new ChildLink(
      options,
      {
        take: (frame) => {
          this.#take(frame);
        },
        ended: (end) => {
          clearTimeout(this.#helloTimer);
          this.#lose(false);
          this.#failAll(end);
          if (!this.#isStopped) handlers.ended(end);
          this.#ended.resolve(end);
        },
      },
      log,
    );
    this.#helloTimer = setTimeout(() => {
      this.kill(`it did not start within ${options.helloTimeoutMs} ms`);
    }, options.helloTimeoutMs);
  }

  get pid(): number | undefined {
    return this.#link.pid;
  }

  /** True from the moment it is known to be dead or dying. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Resolves when the process is gone and everything asked of it has settled. */
  get ended(): Promise<ChildEnd> {
    return this.#ended.promise;
  }

  /** Rejects with ServingError: what the child says, or model_failed when it ends meanwhile. */
  load(model: number, spec: PipelineSpec): Promise<LoadedInChild> {
    const { modelName } = spec;
    if (this.#isLost) return Promise.reject(new ServingError('model_failed', `Cannot load model "${modelName}": its process is gone`));
    const loaded = createDeferred<LoadedInChild>();
    this.#loads.set(model, { modelName, loaded });
    // A child that never says hello ends, and the load with it.
    void this.#hello.promise.then(() => {
      this.#link.send('load', model, 0, spec);
    });
    return loaded.promise;
  }

  /** Frees a model that has no runs. Never rejects: a child that cannot do it in time is killed. */
  async unload(model: number): Promise<void> {
    if (this.#isLost) return;
    const unloaded = createDeferred<undefined>();
    this.#unloads.set(model, unloaded);
    this.#link.send('unload', model, 0, {});
    if (!(await settledWithin(unloaded.promise, UNLOAD_TIMEOUT_MS))) this.kill('it did not free a model in time');
  }

  /** Never rejects. `isRich` as in `encodeBatch`. */
  run(model: number, batch: Batch, isRich: boolean): Promise<HostResult> {
    if (this.#isLost) return Promise.resolve(loseBatch(batch, new ServingError('executor_lost', "The model's process is gone")));
    const request = this.#nextRun();
    let stopTimer: NodeJS.Timeout | undefined;
    const running = new RunningBatch(batch, {
      cancelled: (member) => {
        this.#link.send('cancel', model, request, { member });
      },
      abandoned: () => {
        stopTimer = setTimeout(() => {
          this.kill(`a cancelled run did not stop within ${this.#options.stopTimeoutMs} ms`, true);
        }, this.#options.stopTimeoutMs);
      },
    });
    if (running.live.length === 0) return Promise.resolve(failBatch(batch, new ServingError('cancelled', 'Cancelled before the run')));
    this.#runs.set(request, running);
    try {
      const { metadata, tensors } = encodeBatch(running.live, isRich);
      this.#link.send('run', model, request, metadata, tensors);
    } catch (error) {
      running.fail(toServingError(error));
    }
    return running.result.finally(() => {
      this.#runs.delete(request);
      clearTimeout(stopTimer);
    });
  }

  /** `isBlameless`: nothing is wrong with the child, only with what it was given to do. */
  kill(because: string, isBlameless = false): void {
    this.#link.kill(because);
    this.#lose(isBlameless);
  }

  /** Asks the child to free its models and exit, kills it after `waitMs`, and resolves when it is gone. */
  async stop(waitMs: number): Promise<ChildEnd> {
    this.#isStopped = true;
    if (waitMs > 0) this.#link.send('stop', 0, 0, {});
    if (waitMs <= 0 || !(await settledWithin(this.#ended.promise, waitMs))) this.kill('it was told to stop');
    return this.#ended.promise;
  }

  #lose(isBlameless: boolean): void {
    if (this.#isLost) return;
    this.#isLost = true;
    if (!this.#isStopped) this.#handlers.lost(isBlameless);
  }

  #nextRun(): number {
    do this.#lastRun = (this.#lastRun + 1) % 0x1_0000_0000;
    while (this.#lastRun === 0 || this.#runs.has(this.#lastRun));
    return this.#lastRun;
  }

  #take(frame: Frame): void {
    try {
      this.#dispatch(frame);
    } catch (error) {
      this.kill(toServingError(error).message);
    }
  }

  #dispatch(frame: Frame): void {
    switch (frame.kind) {
      case 'hello':
        this.#greet(asRecord(frame.metadata, 'hello'));
        return;
      case 'loaded':
        takeFrom(this.#loads, frame.model).loaded.resolve(decodeLoaded(frame.metadata));
        return;
      case 'error':
        takeFrom(this.#loads, frame.model).loaded.reject(decodeError(frame.metadata));
        return;
      case 'unloaded':
        takeFrom(this.#unloads, frame.model).resolve(undefined);
        return;
      case 'reply': {
        const running = this.#runs.get(frame.request);
        if (running === undefined) throw malformed('reply: nobody asked');
        running.settle(decodeResult(frame, running.live.length));
        return;
      }
      case 'log':
        writeChildLog(this.#log, frame.metadata);
        return;
      default:
        throw malformed(`frame: kind ${frame.kind} comes from parents only`);
    }
  }

  #greet({ build }: Readonly<Record<string, unknown>>): void {
    clearTimeout(this.#helloTimer);
    if (build === this.#options.buildId) this.#hello.resolve(undefined);
    else this.kill('it belongs to another build: the program was replaced on disk, restart the server');
  }

  #failAll(end: ChildEnd): void {
    const text = describeEnd(end);
    const details = { ...end };
    for (const { modelName, loaded } of this.#loads.values()) {
      loaded.reject(new ServingError('model_failed', `Cannot load model "${modelName}": its process ${text}`, { details }));
    }
    for (const unload of this.#unloads.values()) unload.resolve(undefined);
    const lost = new ServingError('executor_lost', `The model's process was lost while it had the request: it ${text}`, { details });
    for (const running of this.#runs.values()) running.lose(lost);
  }
}

interface PendingLoad {
  readonly modelName: string;
  readonly loaded: Deferred<LoadedInChild>;
}

function takeFrom<T>(waiting: Map<number, T>, model: number): T {
  const found = waiting.get(model);
  if (found === undefined) throw malformed('answer: nobody asked');
  waiting.delete(model);
  return found;
}
