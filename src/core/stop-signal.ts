/**
 * Tells a run that nobody waits for its answer any more. An AbortSignal is one; so is anything that keeps these few promises, because making an
 * AbortController for every request costs more than queueing it.
 */
export interface StopSignal {
  readonly aborted: boolean;
  /** Called at most once, when it aborts; not at all when it has aborted before. */
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
