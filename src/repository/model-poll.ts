import type { Logger } from '../core/context.ts';
import { toServingError } from '../core/errors.ts';
import type { FetchedModels } from './fetched-models.ts';

export type LoadOutcome = 'loaded' | 'failed' | 'busy';

export interface PollHooks {
  /** Loads what does not serve the current version yet. Never rejects. */
  loadCurrent(): Promise<LoadOutcome>;
  /** What storage has could not be brought here. */
  fetchFailed(): void;
}

/** What keeps failing is tried this rarely in the end; another version is tried at once. */
const MAX_BACKOFF_MS = 3_600_000;

/** A pause that doubles with each failure in a row. */
export function backoffMs(intervalMs: number, failures: number): number {
  return Math.min(intervalMs * 2 ** failures, Math.max(intervalMs, MAX_BACKOFF_MS));
}

/** Asks storage for a new version every now and then, one question at a time, and has it loaded beside what serves. */
export class ModelPoll {
  readonly #models: FetchedModels;
  readonly #intervalMs: number;
  readonly #hooks: PollHooks;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  /** Until `#againAt` this version is left alone; undefined means storage itself. */
  #failed: string | undefined;
  #againAt = 0;

  constructor(models: FetchedModels, intervalMs: number, hooks: PollHooks, log: Logger) {
    this.#models = models;
    this.#intervalMs = intervalMs;
    this.#hooks = hooks;
    this.#log = log;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stop.abort(new Error('polling ends'));
    clearTimeout(this.#timer);
  }

  /** Pods that started together do not ask together for ever. */
  #schedule(): void {
    this.#timer = setTimeout(
      () => {
        void this.#turn().finally(() => {
          if (!this.#stop.signal.aborted) this.#schedule();
        });
      },
      this.#intervalMs * (0.9 + Math.random() / 5),
    ).unref();
  }

  async #turn(): Promise<void> {
    if (this.#failures > 0 && this.#failed === undefined && performance.now() < this.#againAt) return;
    let version: string | undefined;
    try {
      const look = await this.#models.look(this.#stop.signal);
      version = look.version;
      if (this.#isHeldOff(version)) {
        look.close();
        return;
      }
      await this.#models.take(look);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const againSeconds = Math.round(this.#holdOff(version) / 1000);
      this.#hooks.fetchFailed();
      const { uri } = this.#models;
      this.#log.error({ uri, reason: toServingError(error).message, againSeconds }, 'Cannot look for a new version: the model that serves goes on');
      return;
    }
    const outcome = await this.#hooks.loadCurrent();
    if (outcome === 'failed') this.#holdOff(version);
    if (outcome === 'loaded') this.#failures = 0;
  }

  #isHeldOff(version: string): boolean {
    return this.#failures > 0 && this.#failed === version && performance.now() < this.#againAt;
  }

  /** Of another version the count begins anew. */
  #holdOff(version: string | undefined): number {
    this.#failures = this.#failed === version ? this.#failures + 1 : 1;
    this.#failed = version;
    const pauseMs = backoffMs(this.#intervalMs, this.#failures);
    this.#againAt = performance.now() + pauseMs;
    return pauseMs;
  }
}
