import type { Logger } from '../../core/context.ts';
import type { PredictorHealth, RemotePredictor } from './predictor.ts';

/** While it is not ready the pauses double from the first to the longest, so that a predictor that comes up is seen soon. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1000;

export interface HealthTiming {
  /** Pause between two questions while the predictor is ready. */
  readonly intervalMs: number;
}

/** Owns `predictor` and closes it. Each question has the predictor's own timeout; there is never more than one at a time. */
export function watchPredictor(
  predictor: Pick<RemotePredictor, 'isReady' | 'close'>,
  host: string,
  log: Logger,
  { intervalMs }: HealthTiming,
): PredictorHealth {
  let isReady: boolean | undefined;
  let failed = 0;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  async function ask(): Promise<void> {
    const answer = await predictor.isReady();
    if (isStopped) return;
    if (answer !== isReady) {
      if (answer) log.info({ predictor: host }, `predictor ${host} is ready`);
      else log.warn({ predictor: host }, `predictor ${host} is not ready`);
    }
    isReady = answer;
    const pauseMs = answer ? intervalMs : Math.min(FIRST_PAUSE_MS * 2 ** failed, LONGEST_PAUSE_MS);
    failed = answer ? 0 : Math.min(failed + 1, 10);
    // A process that has nothing else to do may end.
    timer = setTimeout(() => void ask(), pauseMs).unref();
  }

  void ask();
  return {
    isReady: () => isReady === true,
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      predictor.close();
    },
  };
}
