import { Fifo } from './fifo.ts';
import type { Pending, WaitLimits } from './pending.ts';
import type { QueuePolicy } from './policy.ts';
import type { Job } from './scheduler.ts';

/**
 * Where requests for predictions wait: first come, first served within a lane, and a lane is served while all before it are empty.
 *
 *     level 1 │ level 2 │ … │ delayed │ low
 */
export class Lanes {
  readonly #policy: QueuePolicy;
  readonly #levels: readonly Fifo<Pending>[];
  readonly #default: Fifo<Pending>;
  /** Those that have waited too long, where the policy does not refuse them. */
  readonly #delayed = new Fifo<Pending>();
  readonly #low = new Fifo<Pending>();
  /** In the order of service. */
  readonly all: readonly Fifo<Pending>[];

  constructor(policy: QueuePolicy) {
    this.#policy = policy;
    this.#levels = Array.from({ length: policy.priorityLevels }, () => new Fifo<Pending>());
    this.#default = this.#levels[Math.min(policy.defaultPriority, policy.priorityLevels) - 1] ?? this.#low;
    this.all = [...this.#levels, this.#delayed, this.#low];
  }

  get size(): number {
    let size = 0;
    for (const lane of this.all) size += lane.size;
    return size;
  }

  laneOf({ priority }: Job): Fifo<Pending> {
    if (priority === 'low') return this.#low;
    return this.#levels[(priority ?? 0) - 1] ?? this.#default;
  }

  /** Requests that share the bound of `lane`: those of all levels, or those of low priority. */
  waitingWith(lane: Fifo<Pending>): number {
    return lane === this.#low ? lane.size : this.size - this.#low.size;
  }

  limitsOf({ delayAfterMs = Infinity, priority }: Job, now: number): WaitLimits {
    if (priority === 'low') return UNLIMITED;
    const { timeoutMs, timeoutAction } = this.#policy;
    if (timeoutAction === 'reject') return timeoutMs === Infinity ? UNLIMITED : { waitsUntil: now + timeoutMs, delayedAt: Infinity };
    return { waitsUntil: Infinity, delayedAt: now + Math.min(timeoutMs, delayAfterMs) };
  }

  /** The lane whose turn it is; undefined when nothing waits. Requests at its head that have waited too long for their place leave it first. */
  next(now: number): Fifo<Pending> | undefined {
    for (const lane of this.all) {
      for (let head = lane.first; head !== undefined; head = lane.first) {
        if (head.delayedAt > now || lane === this.#delayed) return lane;
        lane.remove(head);
        head.queue = this.#delayed;
        this.#delayed.push(head);
      }
    }
    return undefined;
  }
}

const UNLIMITED: WaitLimits = { waitsUntil: Infinity, delayedAt: Infinity };
