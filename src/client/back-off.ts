/** Pauses between attempts double from the first to the longest, as in KServe's own client. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1000;

/**
 * Milliseconds to wait after the failed attempt number `attempt` (0 is the first). Half of it is chance, so that clients that failed together do not
 * return together. What the server asked for is the least that is waited, and its chance comes on top.
 */
export function backOffMs(attempt: number, retryAfterMs: number | undefined, random: () => number = Math.random): number {
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
  if (retryAfterMs === undefined) return pause / 2 + (random() * pause) / 2;
  return retryAfterMs + (random() * pause) / 2;
}
