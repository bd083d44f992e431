/** A promise with its way out kept outside; Node 20 has no `Promise.withResolvers`. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export function createDeferred<T>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] | undefined;
  let reject: Deferred<T>['reject'] | undefined;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  if (resolve === undefined || reject === undefined) throw new TypeError('Promise did not run its executor');
  return { promise, resolve, reject };
}

/** Waits for `promise` at most `ms` milliseconds; true when it has settled. */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timeout = createDeferred<boolean>();
  const timer = setTimeout(() => {
    timeout.resolve(false);
  }, ms);
  const settled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
