import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../../src/telemetry/index.ts';

const NONE = { count: 0, ns: 0 };

describe('statistics', () => {
  it('are all 0 before the first request', () => {
    const statistics = createMetrics({ version: '1' }).statistics('m', '1');
    expect(statistics).toMatchObject({ name: 'm', version: '1', lastInference: 0, inferenceCount: 0, executionCount: 0, success: NONE, batches: [] });
  });

  it('count runs once in all and by size, and their time once for each request of them', () => {
    const metrics = createMetrics({ version: '1' });
    const queue = metrics.queue('m', '1');
    queue.batchStarted(2, [1, 3]);
    queue.executed({ members: 2, rows: 5, inputMs: 0.5, inferMs: 2, outputMs: 0.25 });
    queue.executed({ members: 1, rows: 1, inputMs: 0, inferMs: 1, outputMs: 0 });
    queue.executed({ members: 1, rows: 5, inputMs: 0, inferMs: 1, outputMs: 0 });
    const statistics = metrics.statistics('m', '1');
    expect(statistics).toMatchObject({
      inferenceCount: 11,
      executionCount: 3,
      queue: { count: 2, ns: 4e6 },
      computeInput: { count: 4, ns: 1e6 },
      computeInfer: { count: 4, ns: 6e6 },
      computeOutput: { count: 4, ns: 5e5 },
      batches: [
        { batchSize: 1, computeInput: { count: 1, ns: 0 }, computeInfer: { count: 1, ns: 1e6 }, computeOutput: { count: 1, ns: 0 } },
        { batchSize: 5, computeInput: { count: 2, ns: 5e5 }, computeInfer: { count: 2, ns: 3e6 }, computeOutput: { count: 2, ns: 25e4 } },
      ],
    });
    expect(Math.abs(Date.now() - statistics.lastInference)).toBeLessThan(10_000);
  });

  it('tell what was answered from what failed, and lookups that found an answer from those that did not', () => {
    const metrics = createMetrics({ version: '1' });
    const request = { model: 'm', version: '1', protocol: 'v2-rest' };
    metrics.requests.finished({ ...request, reason: 'ok', seconds: 0.002 });
    metrics.requests.finished({ ...request, reason: 'ok', seconds: 0.001 });
    metrics.requests.finished({ ...request, reason: 'overloaded', seconds: 0.5 });
    metrics.requests.cacheLookedUp({ model: 'm', version: '1', isHit: true, seconds: 0.000_25 });
    metrics.requests.cacheLookedUp({ model: 'm', version: '1', isHit: false, seconds: 0.000_5 });
    expect(metrics.statistics('m', '1')).toMatchObject({
      success: { count: 2, ns: 3e6 },
      fail: { count: 1, ns: 5e8 },
      cacheHit: { count: 1, ns: 25e4 },
      cacheMiss: { count: 1, ns: 5e5 },
    });
    expect(metrics.statistics('m', '2').success).toEqual(NONE);
  });

  it('keep a bounded number of sizes apart, which clients choose', () => {
    const metrics = createMetrics({ version: '1' });
    const queue = metrics.queue('m', '1');
    for (let rows = 1; rows <= 1000; rows++) queue.executed({ members: 1, rows, inputMs: 0, inferMs: 1, outputMs: 0 });
    const { batches, executionCount } = metrics.statistics('m', '1');
    expect(executionCount).toBe(1000);
    expect(batches.length).toBe(256);
  });
});
