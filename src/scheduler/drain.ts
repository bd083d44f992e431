import type { CancelTimer, Clock } from './clock.ts';

/** The end of a scheduler: one promise for all callers, resolved when nothing is left or the grace is over. */
export class Drain {
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
