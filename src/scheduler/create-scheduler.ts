import type { Batch, BatchResult } from '../core/batch.ts';
import type { Logger, RequestContext } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { SYSTEM_CLOCK, type CancelTimer, type Clock } from './clock.ts';
import { Fifo } from './fifo.ts';
import { Pending, cancelledByClient, deadlineExceeded, draining, queueFull } from './pending.ts';
import type { BatchRunner, Job, Scheduler, SchedulerObserver } from './scheduler.ts';

export interface SchedulerOptions {
  readonly modelName: string;
  /** Most requests that wait in one queue; further ones are refused with overloaded. Those running do not count. 0: nothing waits. */
  readonly maxQueueSize: number;
}

export interface SchedulerDependencies {
  readonly runner: BatchRunner;
  readonly observer?: SchedulerObserver;
  readonly clock?: Clock;
  readonly log: Logger;
}

/** Requests of one batch. One, until rows of several requests are merged. */
const MAX_BATCH_SIZE = 1;

const SILENT: SchedulerObserver = {};

export function createScheduler(options: SchedulerOptions, deps: SchedulerDependencies): Scheduler {
  return new QueueScheduler(options, deps);
}

class QueueScheduler implements Scheduler {
  readonly #modelName: string;
  readonly #maxQueueSize: number;
  readonly #runner: BatchRunner;
  readonly #observer: SchedulerObserver;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #queue = new Fifo<Pending>();
  /** Of low priority: served while nothing waits in the queue above. */
  readonly #lowQueue = new Fifo<Pending>();
  /** Explanations, in a lane of their own beside the model's capacity. */
  readonly #explainQueue = new Fifo<Pending>();
  #isExplaining = false;
  /** Members of running batches whose callers still wait; the deadline watch walks it. */
  readonly #running = new Fifo<Pending>();
  readonly #lists = [this.#queue, this.#lowQueue, this.#explainQueue, this.#running];
  #batchesInFlight = 0;
  #membersInFlight = 0;
  #reportedDepth = 0;
  /** One timer for the earliest deadline of all. It may fire early, when that request has settled: it looks around and is set anew. */
  #deadlineTimer: { readonly at: number; readonly cancel: CancelTimer } | undefined;
  #drain: Drain | undefined;
  readonly #onGone = (pending: Pending): void => {
    this.#giveUp(pending, cancelledByClient());
  };

  constructor(options: SchedulerOptions, deps: SchedulerDependencies) {
    this.#modelName = options.modelName;
    this.#maxQueueSize = options.maxQueueSize;
    this.#runner = deps.runner;
    this.#observer = deps.observer ?? SILENT;
    this.#clock = deps.clock ?? SYSTEM_CLOCK;
    this.#log = deps.log;
    this.#runner.onCapacityChange(() => {
      this.#pump();
    });
  }

  get queueDepth(): number {
    return this.#queue.size + this.#lowQueue.size + this.#explainQueue.size;
  }

  get running(): number {
    return this.#membersInFlight;
  }

  submit(job: Job, ctx: RequestContext): Promise<InferResponse> {
    return new Promise((resolve, reject) => {
      const now = this.#clock.now();
      const queue = this.#queueOf(job);
      const refusal = this.#refusal(ctx, queue, now);
      if (refusal !== undefined) {
        this.#observer.rejected?.(refusal.reason);
        reject(refusal);
        return;
      }
      const pending = new Pending(job, queue, ctx, now, this.#onGone, resolve, reject);
      this.#watchDeadline(pending.deadline, now);
      queue.push(pending);
      if (this.#hasFreeSlot(queue)) this.#pump();
      else this.#reportDepth();
    });
  }

  drain(graceMs: number): Promise<void> {
    const at = this.#clock.now() + graceMs;
    this.#drain ??= new Drain();
    if (this.#isIdle()) this.#drain.finish();
    else
      this.#drain.setEnd(at, this.#clock, () => {
        this.#rejectRest();
      });
    return this.#drain.done;
  }

  /** Why a request is not taken at all; undefined when it is. */
  #refusal(ctx: RequestContext, queue: Fifo<Pending>, now: number): ServingError | undefined {
    if (this.#drain !== undefined) return draining(this.#modelName);
    if (ctx.signal.aborted) return cancelledByClient();
    if (ctx.deadline <= now) return deadlineExceeded(this.#modelName, false);
    if (queue.size >= this.#maxQueueSize && !this.#hasFreeSlot(queue)) return queueFull(this.#modelName, this.#maxQueueSize);
    return undefined;
  }

  #queueOf({ verb, priority }: Job): Fifo<Pending> {
    if (verb === 'explain') return this.#explainQueue;
    return priority === 'low' ? this.#lowQueue : this.#queue;
  }

  /** An explanation needs a model that runs, if not one of its slots. */
  #hasFreeSlot(queue: Fifo<Pending>): boolean {
    if (queue === this.#explainQueue) return !this.#isExplaining && this.#runner.capacity > 0;
    return this.#batchesInFlight < this.#runner.capacity;
  }

  #isIdle(): boolean {
    return this.queueDepth === 0 && this.#batchesInFlight === 0 && !this.#isExplaining;
  }

  /** Work-conserving: no slot is free while a request waits for it. */
  #pump(): void {
    this.#pumpFrom(this.#queue);
    if (this.#lowQueue.size > 0) this.#pumpFrom(this.#lowQueue);
    if (this.#explainQueue.size > 0) this.#pumpFrom(this.#explainQueue);
    this.#reportDepth();
    if (this.#drain !== undefined && this.#isIdle()) this.#drain.finish();
  }

  #pumpFrom(queue: Fifo<Pending>): void {
    while (queue.size > 0 && this.#hasFreeSlot(queue)) {
      const now = this.#clock.now();
      const members = this.#takeBatch(queue, now);
      if (members.length > 0) void this.#runBatch(members, queue, now);
    }
  }

  /** The oldest requests, without those whose deadline has passed while the event loop was busy. */
  #takeBatch(queue: Fifo<Pending>, now: number): Pending[] {
    const members: Pending[] = [];
    while (members.length < MAX_BATCH_SIZE) {
      const pending = queue.first;
      if (pending === undefined) break;
      if (pending.deadline <= now) {
        this.#giveUp(pending, deadlineExceeded(this.#modelName, false));
        continue;
      }
      queue.remove(pending);
      pending.state = 'running';
      this.#running.push(pending);
      members.push(pending);
    }
    return members;
  }

  /** Owns the slot from here until the run has settled, whoever of its members has left meanwhile. */
  async #runBatch(members: readonly Pending[], queue: Fifo<Pending>, startedAt: number): Promise<void> {
    const isExplaining = queue === this.#explainQueue;
    if (isExplaining) this.#isExplaining = true;
    else this.#batchesInFlight++;
    this.#membersInFlight += members.length;
    this.#observer.batchStarted?.(
      members.length,
      members.map((pending) => startedAt - pending.submittedAt),
    );
    try {
      const result = await this.#runner.run({ members } satisfies Batch);
      this.#observer.batchFinished?.(members.length, this.#clock.now() - startedAt, result.timings);
      if (result.measurements !== undefined) this.#observer.measured?.(result.measurements);
      this.#settleAll(members, result, startedAt);
    } catch (error) {
      // Runners answer for every member and never reject; one that does is broken, and must not leave callers waiting.
      this.#log.error({ err: error, model: this.#modelName }, 'Batch was rejected by its executor');
      this.#failAll(members, toServingError(error));
    }
    if (isExplaining) this.#isExplaining = false;
    else this.#batchesInFlight--;
    this.#membersInFlight -= members.length;
    this.#pump();
  }

  #settleAll(members: readonly Pending[], result: BatchResult, startedAt: number): void {
    for (let i = 0; i < members.length; i++) {
      const pending = members[i];
      if (pending?.state !== 'running') continue;
      const answer = result.responses[i];
      this.#running.remove(pending);
      if (answer === undefined)
        pending.fail(new ServingError('internal', `Cannot answer request for model "${this.#modelName}": its run gave no answer`));
      else if (answer.ok) {
        this.#observer.answered?.(pending.ctx, startedAt - pending.submittedAt, result.timings);
        pending.resolve(answer.value);
      } else pending.fail(answer.error);
    }
  }

  #failAll(members: readonly Pending[], error: ServingError): void {
    for (const pending of members) {
      if (pending.state !== 'running') continue;
      this.#running.remove(pending);
      pending.fail(error);
    }
  }

  /** The caller has its answer at once; the slot of a running request stays taken until its run has stopped. */
  #giveUp(pending: Pending, error: ServingError): void {
    const wasWaiting = pending.state === 'waiting';
    (wasWaiting ? pending.queue : this.#running).remove(pending);
    pending.giveUp(error);
    this.#observer.rejected?.(error.reason);
    if (!wasWaiting) return;
    this.#reportDepth();
    if (this.#drain !== undefined && this.#isIdle()) this.#drain.finish();
  }

  #reportDepth(): void {
    const depth = this.queueDepth;
    if (depth === this.#reportedDepth) return;
    this.#reportedDepth = depth;
    this.#observer.queued?.(depth);
  }

  #watchDeadline(deadline: number, now: number): void {
    if (deadline === Infinity || (this.#deadlineTimer !== undefined && this.#deadlineTimer.at <= deadline)) return;
    this.#deadlineTimer?.cancel();
    const cancel = this.#clock.setTimer(deadline - now, () => {
      this.#deadlineTimer = undefined;
      this.#expire();
    });
    this.#deadlineTimer = { at: deadline, cancel };
  }

  #expire(): void {
    const now = this.#clock.now();
    let earliest = Infinity;
    for (const list of this.#lists) earliest = Math.min(earliest, this.#expireIn(list, now));
    this.#watchDeadline(earliest, now);
  }

  /** Gives up what is overdue in `list` and returns the earliest deadline of the rest, Infinity when none has one. */
  #expireIn(list: Fifo<Pending>, now: number): number {
    let earliest = Infinity;
    let pending = list.first;
    while (pending !== undefined) {
      const next: Pending | undefined = pending.next;
      if (pending.deadline <= now) this.#giveUp(pending, deadlineExceeded(this.#modelName, pending.state === 'running'));
      else if (pending.deadline < earliest) earliest = pending.deadline;
      pending = next;
    }
    return earliest;
  }

  #rejectRest(): void {
    for (const list of this.#lists) {
      for (let pending = list.first; pending !== undefined; pending = list.first) this.#giveUp(pending, draining(this.#modelName));
    }
    this.#drain?.finish();
  }
}

/** The end of a scheduler: one promise for all callers, resolved when nothing is left or the grace is over. */
class Drain {
  readonly done: Promise<void>;
  #resolve: () => void = () => undefined;
  #endsAt = Infinity;
  #cancel: CancelTimer | undefined;

  constructor() {
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  setEnd(at: number, clock: Clock, onEnd: () => void): void {
    if (at >= this.#endsAt) return;
    this.#cancel?.();
    this.#endsAt = at;
    this.#cancel = clock.setTimer(at - clock.now(), onEnd);
  }

  finish(): void {
    this.#cancel?.();
    this.#resolve();
  }
}
