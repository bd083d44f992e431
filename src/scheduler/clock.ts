/** Ends a timer that has not fired; afterwards without effect. */
export type CancelTimer = () => void;

/** Time as the scheduler sees it; tests put virtual time in its place. */
export interface Clock {
  /** Milliseconds, on the scale of `performance.now()`. */
  now(): number;
  /** Calls back once after at least `delayMs`. A timer alone never keeps the process alive: whoever waits for an answer holds a socket. */
  setTimer(delayMs: number, callback: () => void): CancelTimer;
}

/** Longest delay that Node's timers take; the callback finds out that it is early and sets another. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(1, Math.ceil(delayMs)), MAX_DELAY_MS)).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
