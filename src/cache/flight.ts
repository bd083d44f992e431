import type { RequestContext } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { StopSource } from '../core/stop-signal.ts';

/** One run for all who ask the same while it goes on. It is told to stop when the last of them has left, and not before. */
export class Flight {
  /** Of the request that began it, which its run has, too. */
  readonly deadline: number;
  readonly #stop = new StopSource();
  readonly #answer: Promise<InferResponse>;
  #waiting = 0;

  constructor(ctx: RequestContext, run: (ctx: RequestContext) => Promise<InferResponse>) {
    this.deadline = ctx.deadline;
    this.#answer = run({ ...ctx, signal: this.#stop });
  }

  /** Called once with the answer, or with nothing when there is none; before those hear of it who join later. */
  onEnd(listener: (response: InferResponse | undefined) => void): void {
    this.#answer.then(listener, () => {
      listener(undefined);
    });
  }

  /** Nobody waits for it any more: it will not come to an answer. */
  get isAbandoned(): boolean {
    return this.#stop.aborted;
  }

  /** The answer, or cancelled or deadline_exceeded as soon as this one waiter has left or has no time left. */
  async join({ signal, deadline }: RequestContext, modelName: string): Promise<InferResponse> {
    this.#waiting++;
    let leave: (error: ServingError) => void = () => undefined;
    const left = new Promise<never>((_, reject) => {
      leave = reject;
    });
    left.catch(() => undefined);
    const onGone = (): void => {
      leave(new ServingError('cancelled', 'Request was cancelled by the client'));
    };
    if (signal.aborted) onGone();
    else signal.addEventListener('abort', onGone);
    // The run's own deadline is watched where it runs.
    const timer =
      deadline < this.deadline
        ? setTimeout(
            () => {
              leave(tooLate(modelName));
            },
            Math.min(Math.max(0, deadline - performance.now()), MAX_DELAY_MS),
          ).unref()
        : undefined;
    try {
      return await Promise.race([left, this.#answer]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onGone);
      this.#waiting--;
      if (this.#waiting === 0) this.#stop.abort(new ServingError('cancelled', 'Request was cancelled by the client'));
    }
  }
}

/** Longest delay that Node's timers take; no request lives that long. */
const MAX_DELAY_MS = 2 ** 31 - 1;

function tooLate(modelName: string): ServingError {
  return new ServingError(
    'deadline_exceeded',
    `Cannot finish request for model "${modelName}": its deadline passed while the model was running for an equal request`,
  );
}
