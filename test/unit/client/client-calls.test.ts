import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ClientCalls } from '../../../src/client/client-calls.ts';
import { InferenceError } from '../../../src/client/inference-error.ts';
import type { Attempt, CallOptions } from '../../../src/client/client.ts';

const UNAVAILABLE = new InferenceError('unavailable', 'busy', { status: 503, retryable: true });

function makeCalls(retries = 3): ClientCalls {
  return new ClientCalls({ timeoutMs: 60_000, retries, retryOn: (error) => error.retryable, headers: { a: '1' } });
}

/** An attempt that fails `failures` times and then gives "done". */
function failing(failures: number, error: Error = UNAVAILABLE): { attempt: (attempt: Attempt) => Promise<string>; readonly seen: Attempt[] } {
  const seen: Attempt[] = [];
  return {
    seen,
    attempt: (attempt) => {
      seen.push(attempt);
      return seen.length <= failures ? Promise.reject(error) : Promise.resolve('done');
    },
  };
}

const hanging = (): Promise<string> => new Promise(() => undefined);

/** The error that a call ends with, watched from the start so that it is never unhandled. */
async function failureOf(call: Promise<unknown>): Promise<InferenceError> {
  return call.then(
    () => {
      throw new Error('expected a failure');
    },
    (thrown: unknown) => thrown as InferenceError,
  );
}

describe('ClientCalls', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('tries again after passing failures, with less time left each time', async () => {
    const { attempt, seen } = failing(2);
    const call = makeCalls().run('infer', {}, attempt);
    await vi.advanceTimersByTimeAsync(300);
    await expect(call).resolves.toBe('done');
    expect(seen).toHaveLength(3);
    expect(seen[2]!.timeoutMs).toBeLessThan(seen[1]!.timeoutMs);
    expect(seen[1]!.timeoutMs).toBeLessThan(seen[0]!.timeoutMs);
  });

  it('gives up after the retries and rejects with the last error', async () => {
    const { attempt, seen } = failing(10);
    const failure = failureOf(makeCalls(2).run('infer', {}, attempt));
    await vi.advanceTimersByTimeAsync(5000);
    expect(await failure).toBe(UNAVAILABLE);
    expect(seen).toHaveLength(3);
  });

  it('tries once when the error does not pass', async () => {
    const { attempt, seen } = failing(1, new InferenceError('internal', 'broken', { status: 500 }));
    expect((await failureOf(makeCalls().run('infer', {}, attempt))).message).toBe('broken');
    expect(seen).toHaveLength(1);
  });

  it('waits as long as the server asks', async () => {
    const { attempt, seen } = failing(1, new InferenceError('overloaded', 'full', { status: 429, retryable: true, retryAfterMs: 2000 }));
    const call = makeCalls().run('infer', {}, attempt);
    await vi.advanceTimersByTimeAsync(1999);
    expect(seen).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(52);
    await expect(call).resolves.toBe('done');
  });

  it('fails at once when the pause would outlast the time that is left', async () => {
    const { attempt } = failing(1, new InferenceError('overloaded', 'full', { status: 429, retryable: true, retryAfterMs: 2000 }));
    expect((await failureOf(makeCalls().run('infer', { timeoutMs: 1000 }, attempt))).reason).toBe('overloaded');
  });

  it('ends an attempt that outlasts the time, and tells it', async () => {
    let told: unknown;
    const failure = failureOf(
      makeCalls().run('infer with model "m"', { timeoutMs: 100 }, ({ signal }) => {
        signal.addEventListener('abort', () => {
          told = signal.reason;
        });
        return hanging();
      }),
    );
    await vi.advanceTimersByTimeAsync(100);
    const error = await failure;
    expect(error.reason).toBe('deadline_exceeded');
    expect(error.message).toBe('Cannot infer with model "m": no answer within 100 ms');
    expect(told).toBe(error);
  });

  it('ends at once when the caller aborts during an attempt', async () => {
    const caller = new AbortController();
    const failure = failureOf(makeCalls().run('infer', { signal: caller.signal }, hanging));
    caller.abort('enough');
    const error = await failure;
    expect(error.reason).toBe('cancelled');
    expect(error.cause).toBe('enough');
  });

  it('ends at once when the caller aborts during a pause, without another attempt', async () => {
    const caller = new AbortController();
    const { attempt, seen } = failing(10);
    const failure = failureOf(makeCalls().run('infer', { signal: caller.signal }, attempt));
    await vi.advanceTimersByTimeAsync(10);
    caller.abort();
    expect((await failure).reason).toBe('cancelled');
    expect(seen).toHaveLength(1);
  });

  it('makes no attempt when the signal is aborted already', async () => {
    const { attempt, seen } = failing(0);
    expect((await failureOf(makeCalls().run('infer', { signal: AbortSignal.abort() }, attempt))).reason).toBe('cancelled');
    expect(seen).toHaveLength(0);
  });

  it('stays cancelled when the attempt fails in its own way because of it', async () => {
    const caller = new AbortController();
    const failure = failureOf(
      makeCalls().run('infer', { signal: caller.signal }, ({ signal }) => {
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(UNAVAILABLE);
          });
        });
      }),
    );
    caller.abort();
    expect((await failure).reason).toBe('cancelled');
  });

  it('closing cancels what runs and refuses what comes', async () => {
    const calls = makeCalls();
    const failure = failureOf(calls.run('infer', {}, hanging));
    calls.close();
    expect((await failure).reason).toBe('cancelled');
    expect((await failureOf(calls.run('infer', {}, hanging))).message).toBe('Cannot infer: the client is closed');
  });

  it('adds the headers of the call to its own, in lower case', async () => {
    const { attempt, seen } = failing(0);
    await makeCalls().run('infer', { headers: { B: '2', A: '3' } }, attempt);
    expect(seen[0]!.headers).toEqual({ a: '3', b: '2' });
  });

  it('wraps what an attempt throws that is no InferenceError', async () => {
    const cause = new TypeError('oops');
    const error = await failureOf(makeCalls().run('infer', {}, failing(1, cause).attempt));
    expect(error.reason).toBe('internal');
    expect(error.message).toBe('Cannot infer: oops');
    expect(error.cause).toBe(cause);
  });

  it.each([0, -1, NaN, Infinity, 2 ** 31])('refuses a timeout of %s ms', async (timeoutMs) => {
    const options: CallOptions = { timeoutMs };
    expect((await failureOf(makeCalls().run('infer', options, hanging))).reason).toBe('invalid_request');
  });

  it('leaves no listener on a signal that outlives the call', async () => {
    const caller = new AbortController();
    const added = vi.spyOn(caller.signal, 'addEventListener');
    const removed = vi.spyOn(caller.signal, 'removeEventListener');
    await makeCalls().run('infer', { signal: caller.signal }, failing(0).attempt);
    expect(added).toHaveBeenCalledOnce();
    expect(removed).toHaveBeenCalledExactlyOnceWith('abort', added.mock.calls[0]![1]);
  });
});
