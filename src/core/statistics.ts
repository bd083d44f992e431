/** How often something was done, and how long it took in all. */
export interface StatisticDuration {
  readonly count: number;
  /** Nanoseconds, whole. */
  readonly ns: number;
}

/** Runs of the engine with one number of rows. */
export interface BatchStatistics {
  /** Rows. */
  readonly batchSize: number;
  readonly computeInput: StatisticDuration;
  readonly computeInfer: StatisticDuration;
  readonly computeOutput: StatisticDuration;
}

/**
 * What became of the requests to one version of a model since the server has started, reloads included (Triton's statistics extension). Warm-up does not
 * count.
 */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** When the engine ended its last run, milliseconds since the epoch; 0: it has not run. */
  readonly lastInference: number;
  /** Rows that the engine computed; an answer from the response cache is none. */
  readonly inferenceCount: number;
  /** Runs of the engine. */
  readonly executionCount: number;
  /** From the decoded request to its answer, those from the response cache included. */
  readonly success: StatisticDuration;
  readonly fail: StatisticDuration;
  /** Wait in the queue. */
  readonly queue: StatisticDuration;
  /** Once for each request of a run, which takes its time for all of them. */
  readonly computeInput: StatisticDuration;
  readonly computeInfer: StatisticDuration;
  readonly computeOutput: StatisticDuration;
  /** Lookups in the response cache that found an answer, until it was there. */
  readonly cacheHit: StatisticDuration;
  /** Lookups that found none, and the keeping of what the model answered. */
  readonly cacheMiss: StatisticDuration;
  /** By size, the smallest first. */
  readonly batches: readonly BatchStatistics[];
}
