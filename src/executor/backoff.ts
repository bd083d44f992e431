/** Waits between attempts to bring a child back, milliseconds: at once the first time, then ever longer, from the start again after a time of health. */
export interface BackoffOptions {
  /** The last one repeats. */
  readonly delaysMs: readonly number[];
  readonly healthyAfterMs: number;
}

export const DEFAULT_BACKOFF: BackoffOptions = { delaysMs: [0, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000], healthyAfterMs: 60_000 };

/** Attempts in a row after which the child counts as failed rather than restarting. */
const FAILED_AFTER = 5;

export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;
  #healthySince: number | undefined;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** True after several attempts without a time of health between them. */
  get isFailing(): boolean {
    return this.#attempts >= FAILED_AFTER;
  }

  /** All works again as of `now`, milliseconds on any clock. */
  recover(now: number): void {
    this.#healthySince = now;
  }

  /** The wait before the next attempt. */
  next(now: number): number {
    if (this.#healthySince !== undefined && now - this.#healthySince >= this.#options.healthyAfterMs) this.#attempts = 0;
    this.#healthySince = undefined;
    const delays = this.#options.delaysMs;
    const delay = delays[Math.min(this.#attempts, delays.length - 1)] ?? 0;
    this.#attempts++;
    return delay;
  }
}
