import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const EVERY_MS = 20;
/** Time for the prober to start and get warm before what it is to see begins. */
const WARM_UP_MS = 1000;

export interface Probe {
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly latencyMs: number;
}

export interface Probed {
  readonly probes: readonly Probe[];
  readonly failed: number;
}

/**
 * Latencies of probes every 20 ms on new connections that started while `during` ran. Throws when one failed, or when there were too few of them to
 * speak of a 99th percentile.
 */
export async function probeWhile(url: string, during: () => Promise<void>): Promise<readonly number[]> {
  const child = fork(fileURLToPath(new URL('probe-child.ts', import.meta.url)), [url, String(EVERY_MS)], { stdio: 'inherit' });
  await once(child, 'spawn');
  await sleep(WARM_UP_MS);
  const start = Date.now();
  await during();
  const end = Date.now();
  child.send('stop');
  const [{ probes, failed }] = (await once(child, 'message')) as [Probed];
  if (failed > 0) throw new Error(`Cannot judge liveness of ${url}: ${failed} probes failed`);
  const within = probes.filter(({ startedAt }) => startedAt >= start && startedAt <= end);
  if (within.length < (end - start) / EVERY_MS / 4)
    throw new Error(`Cannot judge liveness of ${url}: only ${within.length} probes in ${end - start} ms`);
  return within.map(({ latencyMs }) => latencyMs);
}
