import type { BatchMember } from '../core/batch.ts';
import type { RequestContext } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { FifoLinks } from './fifo.ts';

/** `waiting` in the queue, `running` with its batch, `settled` once the caller has its answer. */
export type PendingState = 'waiting' | 'running' | 'settled';

/** Called when the client of a request that is not settled leaves. */
export type OnGone = (pending: Pending) => void;

/**
 * One request from submit to its answer, settled exactly once. It is the member of its batch, the signal of its run, and the listener on its client's signal
 * (`handleEvent`), so that a request costs no closures; the listener goes when it settles.
 */
export class Pending implements BatchMember, StopSignal, FifoLinks<Pending> {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  state: PendingState = 'waiting';
  readonly request: InferRequest;
  /** On the scheduler's clock. */
  readonly deadline: number;
  readonly submittedAt: number;
  readonly ctx: RequestContext;
  readonly #onGone: OnGone;
  readonly #resolve: (response: InferResponse) => void;
  readonly #reject: (error: ServingError) => void;
  #onStop: (() => void)[] | undefined;
  #isGone = false;

  constructor(
    request: InferRequest,
    ctx: RequestContext,
    submittedAt: number,
    onGone: OnGone,
    resolve: (response: InferResponse) => void,
    reject: (error: ServingError) => void,
  ) {
    this.request = request;
    this.deadline = ctx.deadline;
    this.submittedAt = submittedAt;
    this.ctx = ctx;
    this.#onGone = onGone;
    this.#resolve = resolve;
    this.#reject = reject;
    this.ctx.signal.addEventListener('abort', this);
  }

  /** Aborts when nobody waits for the answer any more. */
  get signal(): StopSignal {
    return this;
  }

  get aborted(): boolean {
    return this.#isGone;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    (this.#onStop ??= []).push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#onStop?.indexOf(listener) ?? -1;
    if (at >= 0) this.#onStop?.splice(at, 1);
  }

  handleEvent(): void {
    this.#onGone(this);
  }

  resolve(response: InferResponse): void {
    this.#settle();
    this.#resolve(response);
  }

  /** Its run, if there is one, is told to stop. */
  giveUp(error: ServingError): void {
    this.#settle();
    this.#isGone = true;
    this.#reject(error);
    const listeners = this.#onStop ?? [];
    this.#onStop = undefined;
    for (const listener of listeners) listener();
  }

  /** What its run failed with. */
  fail(error: ServingError): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.state = 'settled';
    this.ctx.signal.removeEventListener('abort', this);
  }
}

export function cancelledByClient(): ServingError {
  return new ServingError('cancelled', 'Request was cancelled by the client');
}

/** `wasRunning` false: the model has not been touched. */
export function deadlineExceeded(modelName: string, wasRunning: boolean): ServingError {
  const where = wasRunning ? 'its deadline passed while the model was running' : 'its deadline passed while it waited for the model';
  return new ServingError('deadline_exceeded', `Cannot finish request for model "${modelName}": ${where}`);
}

export function queueFull(modelName: string, maxQueueSize: number): ServingError {
  return new ServingError('overloaded', `Cannot queue request for model "${modelName}": queue is full (${maxQueueSize} requests)`);
}

export function draining(modelName: string): ServingError {
  return new ServingError('server_not_ready', `Cannot run request for model "${modelName}": it is being shut down or replaced`);
}
