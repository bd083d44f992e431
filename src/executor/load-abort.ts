import { ServingError } from '../core/errors.ts';
import type { PipelineSpec } from '../pipeline/index.ts';

/** Why a load was given up: deadline_exceeded for an AbortSignal.timeout, else cancelled. */
export function loadAborted(signal: AbortSignal, { modelName }: PipelineSpec): ServingError {
  const reason: unknown = signal.reason;
  return reason instanceof Error && reason.name === 'TimeoutError'
    ? new ServingError('deadline_exceeded', `Cannot load model "${modelName}": it took longer than the load timeout`)
    : new ServingError('cancelled', `Cannot load model "${modelName}": the load was cancelled`);
}

export function throwIfLoadAborted(signal: AbortSignal, spec: PipelineSpec): void {
  if (signal.aborted) throw loadAborted(signal, spec);
}

/** Loads are refused once an executor stops. */
export function loadWhileStopped({ modelName }: PipelineSpec): ServingError {
  return new ServingError('cancelled', `Cannot load model "${modelName}": its executor is stopped`);
}
