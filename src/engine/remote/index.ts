import type { Logger } from '../../core/context.ts';
import type { PredictorHealth, PredictorOptions } from './predictor.ts';
import { watchPredictor, type HealthTiming } from './predictor-health.ts';
import { createRemotePredictor } from './remote-predictor.ts';

export { createRemotePredictor };

/** Throws as `createRemotePredictor`. */
export function createPredictorHealth(options: PredictorOptions, modelName: string, log: Logger, timing: HealthTiming): PredictorHealth {
  return watchPredictor(createRemotePredictor(options, modelName, log), options.host, log, timing);
}
