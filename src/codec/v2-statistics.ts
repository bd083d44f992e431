import type { ModelStatistics } from '../core/statistics.ts';

/** The answer of Triton's statistics extension, the same in JSON and as the message `ModelStatisticsResponse`. */
export function encodeStatistics(models: readonly ModelStatistics[]): object {
  return { model_stats: models.map(encodeModel) };
}

function encodeModel(model: ModelStatistics): object {
  return {
    name: model.name,
    version: model.version,
    last_inference: model.lastInference,
    inference_count: model.inferenceCount,
    execution_count: model.executionCount,
    inference_stats: {
      success: model.success,
      fail: model.fail,
      queue: model.queue,
      compute_input: model.computeInput,
      compute_infer: model.computeInfer,
      compute_output: model.computeOutput,
      cache_hit: model.cacheHit,
      cache_miss: model.cacheMiss,
    },
    batch_stats: model.batches.map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
      batch_size: batchSize,
      compute_input: computeInput,
      compute_infer: computeInfer,
      compute_output: computeOutput,
    })),
    // Of devices of their own, which models do not have here, and of models that answer in parts.
    memory_usage: [],
    response_stats: {},
  };
}
