import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateLoad } from './generator.ts';

export interface LoadOrder {
  readonly url: string;
  /** JSON. */
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

/** Posts one body again and again. Throws when a request failed: the figures of a failing server say nothing. */
export async function applyLoad({ url, body, connections, amount, seconds }: LoadOrder): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-load-'));
  try {
    const request = join(folder, 'request.json');
    writeFileSync(request, body);
    const limit = amount === undefined ? { duration: seconds ?? 5 } : { requests: amount };
    const [measured] = await generateLoad({ url, protocol: 'http', request, concurrency: connections, warmup: 0, timeout: 60, ...limit });
    if (measured === undefined) throw new Error(`Cannot measure ${url}: nothing was measured`);
    const failed = measured.sent - measured.right;
    if (failed > 0) throw new Error(`Cannot measure ${url}: ${failed} of ${measured.sent} requests failed: ${JSON.stringify(measured.failures)}`);
    return {
      requests: measured.right,
      failed,
      seconds: measured.seconds,
      p50Ms: measured.latency_ms?.p50 ?? NaN,
      p99Ms: measured.latency_ms?.p99 ?? NaN,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
