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
  /** One for each call under way. */
  readonly #running = new Set<AbortController>();
  #isClosed = false;

  constructor(defaults: CallDefaults) {
    this.#defaults = defaults;
  }

  /** Runs `attempt` until it succeeds, fails for good, or the retries or the time are used up. `what` completes "Cannot …" in messages. */
  async run<T>(what: string, options: CallOptions, attempt: (attempt: Attempt) => Promise<T>, retries: number = this.#defaults.retries): Promise<T> {
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#defaults.timeoutMs);
    const ender = new AbortController();
    const cancel = (): void => {
      ender.abort(new InferenceError('cancelled', `Cannot ${what}: the caller cancelled it`, { cause: options.signal?.reason }));
    };
    if (this.#isClosed) throw closedError(what);
    if (options.signal?.aborted === true) cancel();
    options.signal?.addEventListener('abort', cancel);
    const timer = setTimeout(() => {
      ender.abort(new InferenceError('deadline_exceeded', `Cannot ${what}: no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    this.#running.add(ender);
    try {
      const headers = options.headers === undefined ? this.#defaults.headers : { ...this.#defaults.headers, ...lowerCaseNames(options.headers) };
      return await attemptUntil(performance.now() + timeoutMs, ender.signal, headers, { retries, retryOn: this.#defaults.retryOn }, attempt, what);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', cancel);
      this.#running.delete(ender);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const ender of this.#running) ender.abort(closedError('finish the call'));
  }
}

async function attemptUntil<T>(
  deadline: number,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
  { retries, retryOn }: Pick<CallDefaults, 'retries' | 'retryOn'>,
  attempt: (attempt: Attempt) => Promise<T>,
  what: string,
): Promise<T> {
  const ended = whenAborted(signal);
  // Each race below watches it too; this one only keeps a late end from counting as unhandled.
  ended.catch(() => undefined);
  for (let failed = 0; ; failed++) {
    signal.throwIfAborted();
    const timeoutMs = deadline - performance.now();
    try {
      return await Promise.race([attempt({ signal, timeoutMs, headers }), ended]);
    } catch (thrown) {
      signal.throwIfAborted();
      const error =
        thrown instanceof InferenceError ? thrown : new InferenceError('internal', `Cannot ${what}: ${messageOf(thrown)}`, { cause: thrown });
      if (failed >= retries || !retryOn(error)) throw error;
      const pauseMs = backOffMs(failed, error.retryAfterMs);
      if (performance.now() + pauseMs >= deadline) throw error;
      await pause(pauseMs, signal);
    }
  }
}

/** Rejects with the signal's reason when it aborts; else never settles. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => {
      reject(signal.reason as InferenceError);
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

/** Resolves when the time is over or the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}

function closedError(what: string): InferenceError {
  return new InferenceError('cancelled', `Cannot ${what}: the client is closed`);
}
