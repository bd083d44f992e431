/**
 * Runs that may go on at once in one process, over all of its models: each holds a thread of libuv's pool, and the pool must not be used up. Models that find none
 * free are called in turn, one for each slot that becomes free.
 */
export class RunSlots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.#free = limit;
  }

  get hasFree(): boolean {
    return this.#free > 0;
  }

  take(): void {
    this.#free--;
  }

  give(): void {
    this.#free++;
    for (const listener of this.#waiting) {
      if (this.#free <= 0) return;
      this.#waiting.delete(listener);
      listener();
    }
  }

  /** Once; who takes no slot when called leaves it to the next. */
  callWhenFree(listener: () => void): void {
    this.#waiting.add(listener);
  }
}

/** Where threads are no model's to share: in a process of its own, or where user code mostly waits. */
export const UNLIMITED_SLOTS: Pick<RunSlots, 'hasFree' | 'take' | 'give' | 'callWhenFree'> = {
  hasFree: true,
  take: () => undefined,
  give: () => undefined,
  callWhenFree: () => undefined,
};
