import type { ModelStatistics } from '../../src/core/statistics.ts';

/** Statistics in which no two numbers are equal. */
export function statisticsOf(name: string, version: string): ModelStatistics {
  let last = 100;
  const duration = (): { count: number; ns: number } => ({ count: ++last, ns: 10 ** 6 + last });
  return {
    name,
    version,
    lastInference: 1_690_000_000_000,
    inferenceCount: 10,
    executionCount: 4,
    success: duration(),
    fail: duration(),
    queue: duration(),
    computeInput: duration(),
    computeInfer: duration(),
    computeOutput: duration(),
    cacheHit: duration(),
    cacheMiss: duration(),
    batches: [{ batchSize: 3, computeInput: duration(), computeInfer: duration(), computeOutput: duration() }],
  };
}
