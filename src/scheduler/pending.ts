import type { BatchMember } from '../core/batch.ts';
import type { RequestContext } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../core/infer.ts';
import { formOf, rowsOf } from '../core/rows.ts';
import { StopSource, type StopSignal } from '../core/stop-signal.ts';
import type { Fifo, FifoLinks } from './fifo.ts';
import type { Job } from './scheduler.ts';

/** `waiting` in the queue, `running` with its batch, `settled` once the caller has its answer. */
export type PendingState = 'waiting' | 'running' | 'settled';

/** Called when the client of a request that is not settled leaves. */
export type OnGone = (pending: Pending) => void;

/** Ends of the wait, on the scheduler's clock; Infinity for none. */
export interface WaitLimits {
  readonly waitsUntil: number;
  readonly delayedAt: number;
}

/**
 * One request from submit to its answer, settled exactly once. It is the member of its batch and the signal of its run, and listens to its client's signal until
 * it settles.
 */
export class Pending extends StopSource implements BatchMember, FifoLinks<Pending> {
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  state: PendingState = 'waiting';
  /** Where it waits. */
  queue: Fifo<Pending>;
  readonly verb: Verb;
  readonly request: InferRequest;
  /** Asked for by the server itself, on behalf of a request that has a record of its own. */
  readonly isInternal: boolean;
  /** On the scheduler's clock. */
  readonly deadline: number;
  /** When it leaves the queue without an answer of the model; not after `deadline`. */
  readonly waitsUntil: number;
  /** When it lets all others of normal priority go first. */
  readonly delayedAt: number;
  readonly submittedAt: number;
  readonly ctx: RequestContext;
  readonly #onClientGone: () => void;
  readonly #resolve: (response: InferResponse) => void;
  readonly #reject: (error: ServingError) => void;
  #rows: number | undefined | null = null;
  #form: string | undefined;

  constructor(
    { verb, request, priority }: Job,
    queue: Fifo<Pending>,
    ctx: RequestContext,
    submittedAt: number,
    limits: WaitLimits,
    onGone: OnGone,
    resolve: (response: InferResponse) => void,
    reject: (error: ServingError) => void,
  ) {
    super();
    this.queue = queue;
    this.verb = verb;
    this.request = request;
    this.isInternal = priority === 'low';
    this.deadline = ctx.deadline;
    this.waitsUntil = Math.min(ctx.deadline, limits.waitsUntil);
    this.delayedAt = limits.delayedAt;
    this.submittedAt = submittedAt;
    this.ctx = ctx;
    this.#onClientGone = () => {
      onGone(this);
    };
    this.#resolve = resolve;
    this.#reject = reject;
    ctx.signal.addEventListener('abort', this.#onClientGone);
  }

  /** Aborts when nobody waits for the answer any more. */
  get signal(): StopSignal {
    return this;
  }

  /** Rows of its inputs; undefined when they have no number of rows in common. */
  get rows(): number | undefined {
    if (this.#rows === null) this.#rows = rowsOf(this.request.inputs);
    return this.#rows;
  }

  /** What has to agree for requests to run together; see `formOf`. Worked out for requests that had to wait only. */
  get form(): string {
    return (this.#form ??= formOf(this.request));
  }

  resolve(response: InferResponse): void {
    this.#settle();
    this.#resolve(response);
  }

  /** Its run, if there is one, is told to stop. */
  giveUp(error: ServingError): void {
    this.#settle();
    this.#reject(error);
    this.abort(error);
  }

  /** What its run failed with. */
  fail(error: ServingError): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.state = 'settled';
    this.ctx.signal.removeEventListener('abort', this.#onClientGone);
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
