/** A call that heeds its signal needs a moment to come to its end; one that is still there later does not come to it. */
const GRACE_MS = 500;

/** Calls of user code whose request was given up and that have not come to an end since. Each holds its memory, maybe its model's turn. */
export class StuckCalls {
  readonly #limit: number;
  /** By when their request was given up, milliseconds on the clock of `performance.now()`. */
  readonly #since = new Map<object, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(call: object): void {
    this.#since.set(call, performance.now());
  }

  /** It has ended after all, or was never given up. */
  delete(call: object): void {
    this.#since.delete(call);
  }

  /** More than `limit` calls do not come to an end. */
  get isWornOut(): boolean {
    if (this.#since.size <= this.#limit) return false;
    const latest = performance.now() - GRACE_MS;
    let stuck = 0;
    for (const since of this.#since.values()) if (since <= latest) stuck++;
    return stuck > this.#limit;
  }
}
