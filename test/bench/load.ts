import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface LoadOrder {
  readonly url: string;
  readonly body: string;
  readonly connections: number;
  /** Either a number of requests, or a time. */
  readonly amount?: number;
  readonly seconds?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Throws when a request failed: the figures of a failing server say nothing. */
export async function applyLoad(order: LoadOrder): Promise<LoadResult> {
  const child = fork(fileURLToPath(new URL('load-child.ts', import.meta.url)), { stdio: 'inherit' });
  child.send(order);
  const [result] = (await once(child, 'message')) as [LoadResult];
  if (result.failed > 0) throw new Error(`Cannot measure ${order.url}: ${result.failed} of ${result.failed + result.requests} requests failed`);
  return result;
}
