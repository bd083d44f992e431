import type { Batch, BatchMember, BatchResult, Settled } from '../core/batch.ts';
import { modelNotReady, ServingError, toServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { NO_CAPABILITIES } from '../core/metadata.ts';
import { REMOTE_RUNS, type NextModel } from './next-model.ts';
import type { Pipeline, PipelineSpec } from './pipeline.ts';

/** A pipeline that hands every request on to a predictor elsewhere, which it owns from now on. */
export function createRemotePipeline(spec: Pick<PipelineSpec, 'modelName' | 'modelVersion'>, model: NextModel): Pipeline {
  let isDisposed = false;

  async function settle({ verb, request, ctx, signal }: BatchMember): Promise<Settled<InferResponse>> {
    if (isDisposed) return { ok: false, error: modelNotReady(spec.modelName) };
    if (signal.aborted) return { ok: false, error: new ServingError('cancelled', `Cancelled before model "${spec.modelName}" ran`) };
    if (verb === 'explain') return { ok: false, error: new ServingError('unimplemented', `Model "${spec.modelName}" has no explain`) };
    try {
      return {
        ok: true,
        value: { ...(await model.infer(request, ctx, signal)), ...spec, ...(request.id === undefined ? undefined : { id: request.id }) },
      };
    } catch (thrown) {
      return { ok: false, error: toServingError(thrown, 'upstream_failed', `The predictor of model "${spec.modelName}" failed`) };
    }
  }

  return {
    signature: model.signature ?? { isOpen: true, inputs: [], outputs: [] },
    capabilities: NO_CAPABILITIES,
    platform: model.platform,
    properties: model.properties,
    isConcurrent: true,
    concurrency: REMOTE_RUNS,
    isRetryable: true,
    run: async (batch: Batch): Promise<BatchResult> => {
      const started = performance.now();
      const responses = await Promise.all(batch.members.map(settle));
      return { responses, timings: { preprocessMs: 0, predictMs: performance.now() - started, postprocessMs: 0 } };
    },
    dispose: () => {
      isDisposed = true;
      return model.dispose();
    },
  };
}
