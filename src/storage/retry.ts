import { cannotDownload, TransientFailure } from './failure.ts';
import type { RetryPolicy } from './storage.ts';

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;

/** Some, but not all, of a delay that doubles: clients that failed together do not come back together. */
export function backoffDelay(failures: number, retryAfterMs = 0, random: () => number = Math.random): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return Math.max(ceiling * (0.5 + random() / 2), Math.min(retryAfterMs, 6 * LONGEST_DELAY_MS));
}

/** Ends an attempt when nothing has happened for a while; `alive` says that something did. */
export interface Watch {
  readonly signal: AbortSignal;
  alive(): void;
  /** Progress worth a new count of attempts. */
  progressed(): void;
}

export interface RetryContext {
  readonly uri: string;
  readonly policy: RetryPolicy;
  readonly signal: AbortSignal;
  onRetry(failure: TransientFailure, failures: number): void;
}

/** Runs `attempt` until it succeeds, fails for good, has failed too often without progress, or `signal` aborts. */
export async function retrying<T>(ctx: RetryContext, attempt: (watch: Watch) => Promise<T>): Promise<T> {
  let failures = 0;
  for (;;) {
    ctx.signal.throwIfAborted();
    try {
      return await watched(ctx, attempt, () => {
        failures = 0;
      });
    } catch (error) {
      ctx.signal.throwIfAborted();
      if (!(error instanceof TransientFailure)) throw error;
      failures++;
      if (failures >= ctx.policy.maxAttempts) {
        throw cannotDownload('upstream_failed', ctx.uri, `${error.message}, ${failures} attempts failed`, { cause: error });
      }
      ctx.onRetry(error, failures);
      await delay(backoffDelay(failures, error.retryAfterMs), ctx.signal);
    }
  }
}

async function watched<T>({ policy, signal }: RetryContext, attempt: (watch: Watch) => Promise<T>, progressed: () => void): Promise<T> {
  const stop = new AbortController();
  const onAbort = (): void => {
    stop.abort(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let stall: TransientFailure | undefined;
  const timer = setTimeout(() => {
    stall = new TransientFailure(`nothing arrived for ${policy.stallTimeoutMs / 1000} s`);
    stop.abort(stall);
  }, policy.stallTimeoutMs);
  try {
    return await attempt({ signal: stop.signal, alive: () => timer.refresh(), progressed });
  } catch (error) {
    throw stall ?? error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    // Ends what an attempt that failed half-way left running.
    stop.abort();
  }
}

export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
