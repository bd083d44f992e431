import { StopSource, type StopSignal } from '../core/stop-signal.ts';
import type { Attempt, CallOptions } from './client.ts';
import { backOffMs } from './back-off.ts';
import { InferenceError, invalidCall, messageOf } from './inference-error.ts';

/** Longest delay of a platform timer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export interface CallDefaults {
  readonly timeoutMs: number;
  readonly retries: number;
  /** Which failures are worth a further attempt. */
  readonly retryOn: (error: InferenceError) => boolean;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws invalid_request for what no timer can hold. */
export function checkTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs;
  throw invalidCall(`Cannot use timeoutMs ${timeoutMs}: expected more than 0 and at most ${MAX_TIMEOUT_MS}`);
}

export function lowerCaseNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Owns time: the deadline of each call, its attempts and the pauses between them. Whatever ends a call, its promise settles at once. */
export class ClientCalls {
  readonly #defaults: CallDefaults;
  readonly #running = new Set<RunningCall>();
  /** One timer for the earliest deadline of all. It may fire early, when that call has ended: it looks around and is set anew. */
  #deadlineTimer: NodeJS.Timeout | undefined;
  #earliest = Infinity;
  #isClosed = false;

  constructor(defaults: CallDefaults) {
    this.#defaults = defaults;
  }

  /** Runs `attempt` until it succeeds, fails for good, or the retries or the time are used up. `what` completes "Cannot …" in messages. */
  async run<T>(what: string, options: CallOptions, attempt: (attempt: Attempt) => Promise<T>, retries: number = this.#defaults.retries): Promise<T> {
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#defaults.timeoutMs);
    if (this.#isClosed) throw closedError(what);
    if (options.signal?.aborted === true) throw cancelledError(what, options.signal);
    const call = new RunningCall(what, timeoutMs, options.signal);
    this.#running.add(call);
    this.#watch(call.deadline);
    try {
      const headers = options.headers === undefined ? this.#defaults.headers : { ...this.#defaults.headers, ...lowerCaseNames(options.headers) };
      return await call.untilEnded(this.#attempts(call, headers, retries, attempt));
    } finally {
      call.leave();
      this.#running.delete(call);
      if (this.#running.size === 0) this.#unwatch();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const call of this.#running) call.abort(closedError('finish the call'));
  }

  async #attempts<T>(
    call: RunningCall,
    headers: Readonly<Record<string, string>>,
    retries: number,
    attempt: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    for (let failed = 0; ; failed++) {
      try {
        return await attempt({ signal: call, timeoutMs: call.deadline - performance.now(), headers });
      } catch (thrown) {
        if (call.aborted) throw call.reason;
        const error =
          thrown instanceof InferenceError ? thrown : new InferenceError('internal', `Cannot ${call.what}: ${messageOf(thrown)}`, { cause: thrown });
        if (failed >= retries || !this.#defaults.retryOn(error)) throw error;
        const pauseMs = backOffMs(failed, error.retryAfterMs);
        if (performance.now() + pauseMs >= call.deadline) throw error;
        await pause(pauseMs, call);
        if (call.aborted) throw call.reason;
      }
    }
  }

  #watch(deadline: number): void {
    if (deadline >= this.#earliest) return;
    clearTimeout(this.#deadlineTimer);
    this.#earliest = deadline;
    this.#deadlineTimer = setTimeout(
      () => {
        this.#expire();
      },
      Math.max(0, deadline - performance.now()),
    );
  }

  #unwatch(): void {
    clearTimeout(this.#deadlineTimer);
    this.#earliest = Infinity;
  }

  #expire(): void {
    this.#earliest = Infinity;
    const now = performance.now();
    let earliest = Infinity;
    for (const call of this.#running) {
      if (call.deadline <= now) call.abort(new InferenceError('deadline_exceeded', `Cannot ${call.what}: no answer within ${call.timeoutMs} ms`));
      else if (call.deadline < earliest) earliest = call.deadline;
    }
    this.#watch(earliest);
  }
}

/** The signal of a call's attempts; aborts with the error that the call ends with. */
class RunningCall extends StopSource {
  readonly what: string;
  readonly timeoutMs: number;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly #caller: StopSignal | undefined;
  readonly #cancel = (): void => {
    this.abort(cancelledError(this.what, this.#caller));
  };
  #reject: ((error: InferenceError) => void) | undefined;

  constructor(what: string, timeoutMs: number, caller: StopSignal | undefined) {
    super();
    this.what = what;
    this.timeoutMs = timeoutMs;
    this.deadline = performance.now() + timeoutMs;
    this.#caller = caller;
    caller?.addEventListener('abort', this.#cancel);
  }

  /** What `work` settles with, or the reason as soon as the call is aborted. */
  untilEnded<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, reject);
    });
  }

  override abort(error: InferenceError): void {
    super.abort(error);
    this.#reject?.(error);
  }

  leave(): void {
    this.#caller?.removeEventListener('abort', this.#cancel);
  }
}

/** Resolves when the time is over or the signal aborts. */
function pause(ms: number, signal: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

function cancelledError(what: string, signal: StopSignal | undefined): InferenceError {
  return new InferenceError('cancelled', `Cannot ${what}: the caller cancelled it`, { cause: signal?.reason });
}

function closedError(what: string): InferenceError {
  return new InferenceError('cancelled', `Cannot ${what}: the client is closed`);
}
