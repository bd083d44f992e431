import { runSteps, runStepsYielding, type Steps } from '../../core/steps.ts';
import type { StopSignal } from '../../core/stop-signal.ts';

/** Bodies up to this size are coded in one go: that takes less time than giving the event loop back. */
const SMALL_BODY_BYTES = 64 * 1024;

/** Runs a codec's steps over a body of about `bytes` bytes; a large one lets probes be answered meanwhile and stops when the client leaves. */
export function runCodec<T>(steps: Steps<T>, bytes: number, signal: StopSignal): T | Promise<T> {
  return bytes <= SMALL_BODY_BYTES ? runSteps(steps) : runStepsYielding(steps, signal);
}
