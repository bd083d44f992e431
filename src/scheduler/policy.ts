/** How requests of one model become batches. */
export interface BatchPolicy {
  /** Rows of one batch, at most; a request with more of them runs alone. */
  readonly maxBatchSize: number;
  /** Sizes that the model runs best, in rows: a batch is cut to the largest of them that it reaches. */
  readonly preferredBatchSizes: readonly number[];
  /** How long a free slot waits for a batch to fill up; 0: never. */
  readonly maxQueueDelayMs: number;
}

/** Who goes first, and who has waited long enough. */
export interface QueuePolicy {
  /** Levels of priority, 1 the highest. */
  readonly priorityLevels: number;
  /** Of requests that name no level. */
  readonly defaultPriority: number;
  /** How long a request may wait; Infinity: as long as its deadline lets it. */
  readonly timeoutMs: number;
  /** What becomes of one that has waited so long: deadline_exceeded, or the others go first from then on. */
  readonly timeoutAction: 'reject' | 'delay';
}

export const ONE_AT_A_TIME: BatchPolicy = { maxBatchSize: 1, preferredBatchSizes: [], maxQueueDelayMs: 0 };

export const FIRST_COME: QueuePolicy = { priorityLevels: 1, defaultPriority: 1, timeoutMs: Infinity, timeoutAction: 'reject' };
