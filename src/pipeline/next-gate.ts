import { ServingError } from '../core/errors.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import { handlerFailed } from '../handler/index.ts';

/** Calls of `next` that may wait; a handler that starts more at once has lost count. */
const MOST_WAITING = 4096;

interface Waiting {
  readonly start: () => void;
  readonly leave: () => void;
}

/** Lets `limit` runs of the model go on at once; the others wait their turn, first come first served. Those whose request is gone leave the queue. */
export class NextGate {
  readonly #limit: number;
  readonly #waiting: Waiting[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Rejects with what `work` rejects with; with cancelled when `signal` aborts before its turn. */
  async run<T>(signal: StopSignal, work: () => Promise<T>): Promise<T> {
    if (signal.aborted) throw cancelled();
    if (this.#running < this.#limit) this.#running++;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #turn(signal: StopSignal): Promise<void> {
    if (this.#waiting.length >= MOST_WAITING) {
      return Promise.reject(
        handlerFailed(`next was called more than ${MOST_WAITING} times before the model could run; await some of the calls first`),
      );
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(cancelled());
      };
      const leave = (): void => {
        signal.removeEventListener('abort', onAbort);
      };
      const waiting = { start: resolve, leave };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort);
    });
  }

  /** The place goes to the next in line, or becomes free. */
  #passOn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#running--;
      return;
    }
    next.leave();
    next.start();
  }
}

function cancelled(): ServingError {
  return new ServingError('cancelled', 'Cancelled before the model ran');
}
