import type { Batch, BatchMember, BatchResult, Settled, StageTimings } from '../core/batch.ts';
import { ServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import { createDeferred } from './deferred.ts';

/** `isLost`: nothing was answered because the process ended; members that nobody has given up may run again elsewhere. */
export interface HostResult extends BatchResult {
  readonly isLost?: true;
}

const NO_TIME: StageTimings = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };

export interface RunningBatchHandlers {
  /** The member with this place among `live` is gone. */
  cancelled(member: number): void;
  /** Nobody waits for any part of the batch. */
  abandoned(): void;
}

/** A batch on its way through a child: who still waits for it, and its one settlement. */
export class RunningBatch {
  /** Members that were not gone at the start; only they travel. */
  readonly live: readonly BatchMember[];
  readonly result: Promise<HostResult>;
  readonly #batch: Batch;
  readonly #resolve: (result: HostResult) => void;
  readonly #stopListening: (() => void)[] = [];
  #waiting: number;

  constructor(batch: Batch, handlers: RunningBatchHandlers) {
    this.#batch = batch;
    this.live = batch.members.filter((member) => !member.signal.aborted);
    const { promise, resolve } = createDeferred<HostResult>();
    this.result = promise;
    this.#resolve = resolve;
    this.#waiting = this.live.length;
    this.live.forEach((member, i) => {
      this.#listen(member.signal, () => {
        this.#waiting--;
        handlers.cancelled(i);
        if (this.#waiting === 0) handlers.abandoned();
      });
    });
  }

  /** `result` answers `live`, in order. */
  settle(result: BatchResult): void {
    this.#forget();
    let next = 0;
    const responses = this.#batch.members.map((member): Settled<InferResponse> => {
      const isLive = this.live[next] === member;
      const settled = isLive ? result.responses[next] : undefined;
      if (isLive) next++;
      return settled ?? { ok: false, error: cancelled(member) };
    });
    this.#resolve({ ...result, responses });
  }

  /** Members that are gone settle with cancelled, the others with `error`. */
  fail(error: ServingError): void {
    this.#forget();
    this.#resolve(failBatch(this.#batch, error));
  }

  /** As `fail`; its process is gone. */
  lose(error: ServingError): void {
    this.#forget();
    this.#resolve(loseBatch(this.#batch, error));
  }

  #listen(signal: StopSignal, listener: () => void): void {
    signal.addEventListener('abort', listener);
    this.#stopListening.push(() => {
      signal.removeEventListener('abort', listener);
    });
  }

  #forget(): void {
    for (const stop of this.#stopListening) stop();
    this.#stopListening.length = 0;
  }
}

/** The result of a batch that did not run: members that are gone get cancelled, the others `error`. */
export function failBatch(batch: Batch, error: ServingError): BatchResult {
  const responses = batch.members.map((member) => ({ ok: false, error: member.signal.aborted ? cancelled(member) : error }) as const);
  return { responses, timings: NO_TIME };
}

/** As `failBatch`, when the process has gone. */
export function loseBatch(batch: Batch, error: ServingError): HostResult {
  return { ...failBatch(batch, error), isLost: true };
}

function cancelled({ request }: BatchMember): ServingError {
  return new ServingError('cancelled', `Cancelled while model "${request.modelName}" had the request`);
}
