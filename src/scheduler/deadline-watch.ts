import type { CancelTimer, Clock } from './clock.ts';
import type { Fifo } from './fifo.ts';
import type { Pending } from './pending.ts';

/** One timer for the earliest deadline of all. It may fire early, when that request has settled: it looks around and is set anew. */
export class DeadlineWatch {
  readonly #clock: Clock;
  readonly #lists: readonly Fifo<Pending>[];
  readonly #onOverdue: (pending: Pending) => void;
  #timer: { readonly at: number; readonly cancel: CancelTimer } | undefined;

  /** Everything with a deadline is in one of `lists`, from which `onOverdue` takes what it is told of. */
  constructor(clock: Clock, lists: readonly Fifo<Pending>[], onOverdue: (pending: Pending) => void) {
    this.#clock = clock;
    this.#lists = lists;
    this.#onOverdue = onOverdue;
  }

  /** Something in the lists ends then, by the clock; Infinity is no end. */
  add(deadline: number, now: number): void {
    if (deadline === Infinity || (this.#timer !== undefined && this.#timer.at <= deadline)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.setTimer(deadline - now, () => {
      this.#timer = undefined;
      this.#expire();
    });
    this.#timer = { at: deadline, cancel };
  }

  #expire(): void {
    const now = this.#clock.now();
    let earliest = Infinity;
    for (const list of this.#lists) earliest = Math.min(earliest, this.#expireIn(list, now));
    this.add(earliest, now);
  }

  /** Tells of what is overdue in `list` and returns the earliest deadline of the rest, Infinity when none has one. */
  #expireIn(list: Fifo<Pending>, now: number): number {
    let earliest = Infinity;
    let pending = list.first;
    while (pending !== undefined) {
      const next: Pending | undefined = pending.next;
      const end = pending.state === 'waiting' ? pending.waitsUntil : pending.deadline;
      if (end <= now) this.#onOverdue(pending);
      else if (end < earliest) earliest = end;
      pending = next;
    }
    return earliest;
  }
}
