import type { Batch, BatchResult, Execution } from '../core/batch.ts';
import type { Logger, RequestContext } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { SYSTEM_CLOCK, type CancelTimer, type Clock } from './clock.ts';
import { DeadlineWatch } from './deadline-watch.ts';
import { Drain } from './drain.ts';
import { Fifo } from './fifo.ts';
import { nextBatch } from './form-batch.ts';
import { Lanes } from './lanes.ts';
import { Pending, cancelledByClient, deadlineExceeded, draining, queueFull } from './pending.ts';
import { UNLIMITED_SLOTS, type RunSlots } from './run-slots.ts';
import { FIRST_COME, ONE_AT_A_TIME, type BatchPolicy, type QueuePolicy } from './policy.ts';
import type { BatchRunner, Job, Scheduler, SchedulerObserver } from './scheduler.ts';

export interface SchedulerOptions {
  readonly modelName: string;
  /** Most requests that wait in one queue; further ones are refused with overloaded. Those running do not count. 0: nothing waits. */
  readonly maxQueueSize: number;
  /** Absent: a batch is one request. */
  readonly batching?: BatchPolicy;
  /** Requests have rows, as far as the signature tells; otherwise each counts as one. */
  readonly countsRows?: boolean;
  /** Absent: first come, first served. */
  readonly queue?: QueuePolicy;
}

export interface SchedulerDependencies {
  readonly runner: BatchRunner;
  readonly observer?: SchedulerObserver;
  /** Shared with the other models of the process; absent: this one has threads of its own. */
  readonly slots?: RunSlots;
  readonly clock?: Clock;
  readonly log: Logger;
}

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
  readonly #batching: BatchPolicy;
  readonly #countsRows: boolean;
  readonly #slots: typeof UNLIMITED_SLOTS;
  readonly #lanes: Lanes;
  /** Explanations, in a lane of their own beside the model's capacity. */
  readonly #explainQueue = new Fifo<Pending>();
  #isExplaining = false;
  /** Members of running batches whose callers still wait; the deadline watch walks it. */
  readonly #running = new Fifo<Pending>();
  /** Everything with a deadline. */
  readonly #lists: readonly Fifo<Pending>[];
  readonly #deadlines: DeadlineWatch;
  /** Rows of one batch at the moment: 1 until the model has said that it takes more. */
  #maxRows = 1;
  #batchesInFlight = 0;
  #membersInFlight = 0;
  #reportedDepth = 0;
  /** Set while a slot stays free so that a batch fills up. */
  #delayTimer: CancelTimer | undefined;
  #drain: Drain | undefined;
  readonly #onSlot = (): void => {
    this.#pump();
  };
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
    this.#batching = options.batching ?? ONE_AT_A_TIME;
    this.#slots = deps.slots ?? UNLIMITED_SLOTS;
    this.#countsRows = options.countsRows ?? false;
    this.#lanes = new Lanes(options.queue ?? FIRST_COME);
    this.#lists = [...this.#lanes.all, this.#explainQueue, this.#running];
    this.#deadlines = new DeadlineWatch(this.#clock, this.#lists, (pending) => {
      this.#giveUp(pending, deadlineExceeded(this.#modelName, pending.state === 'running'));
    });
    this.#runner.onCapacityChange(() => {
      // Who takes over has yet to say how many rows it takes.
      if (this.#runner.capacity === 0) this.#maxRows = 1;
      this.#pump();
    });
  }

  get queueDepth(): number {
    return this.#lanes.size + this.#explainQueue.size;
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
      const pending = new Pending(job, queue, ctx, now, this.#lanes.limitsOf(job, now), this.#onGone, resolve, reject);
      this.#deadlines.add(pending.waitsUntil, now);
      queue.push(pending);
      if (this.#hasFreeSlot(queue) || !this.#slots.hasFree) this.#pump();
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
    // What waits for company gets no more.
    if (this.#delayTimer !== undefined) this.#pump();
    return this.#drain.done;
  }

  /** Why a request is not taken at all; undefined when it is. */
  #refusal(ctx: RequestContext, queue: Fifo<Pending>, now: number): ServingError | undefined {
    if (this.#drain !== undefined) return draining(this.#modelName);
    if (ctx.signal.aborted) return cancelledByClient();
    if (ctx.deadline <= now) return deadlineExceeded(this.#modelName, false);
    const waiting = queue === this.#explainQueue ? queue.size : this.#lanes.waitingWith(queue);
    if (waiting >= this.#maxQueueSize && (waiting > 0 || !this.#hasFreeSlot(queue))) return queueFull(this.#modelName, this.#maxQueueSize);
    return undefined;
  }

  #queueOf(job: Job): Fifo<Pending> {
    return job.verb === 'explain' ? this.#explainQueue : this.#lanes.laneOf(job);
  }

  /** An explanation needs a model that runs, if not one of its slots. */
  #hasFreeSlot(queue: Fifo<Pending>): boolean {
    if (queue === this.#explainQueue) return !this.#isExplaining && this.#runner.capacity > 0;
    return this.#batchesInFlight < this.#runner.capacity && this.#slots.hasFree;
  }

  #isIdle(): boolean {
    return this.queueDepth === 0 && this.#batchesInFlight === 0 && !this.#isExplaining;
  }

  /** Work-conserving: no slot is free while a request waits for it, unless `maxQueueDelayMs` says so. */
  #pump(): void {
    this.#delayTimer?.();
    this.#delayTimer = undefined;
    while (this.#batchesInFlight < this.#runner.capacity) {
      if (!this.#slots.hasFree) {
        if (this.#lanes.size > 0) this.#slots.callWhenFree(this.#onSlot);
        break;
      }
      const now = this.#clock.now();
      const lane = this.#lanes.next(now);
      if (lane === undefined || !this.#startBatch(lane, now)) break;
    }
    while (this.#explainQueue.size > 0 && this.#hasFreeSlot(this.#explainQueue)) this.#startBatch(this.#explainQueue, this.#clock.now());
    this.#reportDepth();
    if (this.#drain !== undefined && this.#isIdle()) this.#drain.finish();
  }

  /** False when the lane waits for more to come. Its oldest request goes without an answer when it is overdue: the event loop was busy. */
  #startBatch(lane: Fifo<Pending>, now: number): boolean {
    const oldest = lane.first;
    if (oldest === undefined) return true;
    if (oldest.waitsUntil <= now) {
      this.#giveUp(oldest, deadlineExceeded(this.#modelName, false));
      return true;
    }
    const isSingle = lane === this.#explainQueue;
    const next = nextBatch(
      lane,
      oldest,
      isSingle ? 1 : this.#maxRows,
      this.#drain === undefined ? this.#batching : withoutDelay(this.#batching),
      now,
    );
    if ('waitUntil' in next) {
      this.#delayTimer = this.#clock.setTimer(next.waitUntil - now, () => {
        this.#pump();
      });
      return false;
    }
    const members: Pending[] = [];
    for (const pending of next.members) {
      if (pending.waitsUntil <= now) {
        this.#giveUp(pending, deadlineExceeded(this.#modelName, false));
        continue;
      }
      lane.remove(pending);
      pending.state = 'running';
      this.#running.push(pending);
      this.#deadlines.add(pending.deadline, now);
      members.push(pending);
    }
    if (members.length > 0) void this.#runBatch(members, isSingle, now);
    return true;
  }

  /** Owns the slot from here until the run has settled, whoever of its members has left meanwhile. */
  async #runBatch(members: readonly Pending[], isExplaining: boolean, startedAt: number): Promise<void> {
    if (isExplaining) this.#isExplaining = true;
    else {
      this.#batchesInFlight++;
      this.#slots.take();
    }
    this.#membersInFlight += members.length;
    this.#observer.batchStarted?.(
      members.length,
      members.map((pending) => startedAt - pending.submittedAt),
      this.#totalRows(members),
    );
    try {
      const result = await this.#runner.run({ members } satisfies Batch);
      if (!isExplaining) this.#maxRows = Math.min(this.#batching.maxBatchSize, result.maxRows ?? 1);
      this.#observer.batchFinished?.(members.length, this.#clock.now() - startedAt, result.timings);
      if (this.#observer.executed !== undefined) for (const execution of this.#executionsOf(members, result)) this.#observer.executed(execution);
      if (result.measurements !== undefined) this.#observer.measured?.(result.measurements);
      this.#settleAll(members, result, startedAt);
    } catch (error) {
      // Runners answer for every member and never reject; one that does is broken, and must not leave callers waiting.
      this.#log.error({ err: error, model: this.#modelName }, 'Batch was rejected by its executor');
      this.#failAll(members, toServingError(error));
    }
    this.#membersInFlight -= members.length;
    if (isExplaining) this.#isExplaining = false;
    else {
      this.#batchesInFlight--;
      this.#slots.give();
    }
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
        if (!pending.isInternal) this.#observer.answered?.(pending.ctx, startedAt - pending.submittedAt, result.timings);
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

  #totalRows(members: readonly Pending[]): number {
    if (!this.#countsRows) return members.length;
    let rows = 0;
    for (const pending of members) rows += pending.rows ?? 1;
    return rows;
  }

  /** A run that computed nothing for anybody is none. */
  #executionsOf(members: readonly Pending[], { executions, responses, timings }: BatchResult): readonly Execution[] {
    if (executions !== undefined) return executions;
    if (!responses.some(({ ok }) => ok)) return [];
    const { preprocessMs: inputMs, predictMs: inferMs, postprocessMs: outputMs } = timings;
    return [{ members: members.length, rows: this.#totalRows(members), inputMs, inferMs, outputMs }];
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

  #rejectRest(): void {
    for (const list of this.#lists) {
      for (let pending = list.first; pending !== undefined; pending = list.first) this.#giveUp(pending, draining(this.#modelName));
    }
    this.#drain?.finish();
  }
}

function withoutDelay(policy: BatchPolicy): BatchPolicy {
  return policy.maxQueueDelayMs === 0 ? policy : { ...policy, maxQueueDelayMs: 0 };
}
