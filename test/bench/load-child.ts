import autocannon from 'autocannon';
import type { LoadOrder, LoadResult } from './load.ts';

/** Runs one load and ends: a process of its own, so that the driver takes no part of what is measured. */
process.once('message', (order: LoadOrder) => {
  void run(order).then((result) => {
    process.send?.(result, () => {
      process.disconnect();
    });
  });
});

async function run({ url, body, connections, amount, seconds }: LoadOrder): Promise<LoadResult> {
  const limit = amount === undefined ? { duration: seconds ?? 5 } : { amount };
  const result = await autocannon({ url, method: 'POST', headers: { 'content-type': 'application/json' }, body, connections, timeout: 60, ...limit });
  return {
    requests: result['2xx'],
    failed: result.non2xx + result.errors + result.timeouts,
    seconds: result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  };
}
