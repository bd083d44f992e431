import type { StopSignal } from './stop-signal.ts';

/**
 * Long work in slices. A generator yields wherever it may pause, so that one piece of code serves two drivers: small bodies run straight
 * through, large ones give the event loop back every few milliseconds and probes are answered meanwhile.
 */
export type Steps<T> = Generator<void, T, void>;

/** Runs to the end without a pause. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Longest stretch without giving the event loop back, milliseconds. A request on a new connection takes three turns of the loop (accept, read, reply), and waits
 * for a slice in each.
 */
const SLICE_MS = 0.5;

/** Runs to the end, giving the event loop back after each slice; stops early, rejecting with the signal's reason, when `signal` aborts. */
export async function runStepsYielding<T>(steps: Steps<T>, signal?: StopSignal): Promise<T> {
  let sliceEnd = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() < sliceEnd) continue;
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (signal?.aborted === true) throw signal.reason;
    sliceEnd = performance.now() + SLICE_MS;
  }
}
