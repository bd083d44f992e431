import type { StageTimings } from '../core/batch.ts';
import type { Logger, RequestContext } from '../core/context.ts';

/** Fits the observer of one model's scheduler. */
export interface LatencyLog {
  answered(ctx: RequestContext, waitMs: number, timings: StageTimings): void;
  /** A request has its explanation, which took many runs of the model. */
  explained(ctx: RequestContext, explainMs: number): void;
}

/** One record for each answer with the milliseconds of its stages, as KServe's `--enable_latency_logging` has it, under the request's own id. */
export function createLatencyLog(log: Logger, model: string): LatencyLog {
  const modelLog = log.child({ model });
  return {
    answered: ({ id }, waitMs, { preprocessMs, predictMs, postprocessMs, explainMs }) => {
      const stages = {
        requestId: id,
        queueMs: round(waitMs),
        preprocessMs: round(preprocessMs),
        predictMs: round(predictMs),
        postprocessMs: round(postprocessMs),
        ...(explainMs === undefined ? {} : { explainMs: round(explainMs) }),
      };
      modelLog.info(stages, 'Answered');
    },
    explained: ({ id }, explainMs) => {
      modelLog.info({ requestId: id, explainMs: round(explainMs) }, 'Answered');
    },
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
