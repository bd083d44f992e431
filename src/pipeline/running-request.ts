import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from '../core/context.ts';

/** The request in whose name user code runs. */
export interface RunningRequest {
  readonly modelName: string;
  /** Undefined while a handler loads or unloads. */
  readonly requestId: string | undefined;
  readonly log: Logger;
}

const RUNNING = new AsyncLocalStorage<RunningRequest>();

/** Whatever `work` starts, and what comes of it later, belongs to `request`. */
export function runAs<T>(request: RunningRequest, work: () => T): T {
  return RUNNING.run(request, work);
}

/**
 * To be called by a listener of `unhandledRejection`: a promise that a handler dropped is logged with its model and request, and hurts nobody else. False when no
 * handler is behind it; then it is the process's own failure.
 */
export function attributeRejection(reason: unknown): boolean {
  const running = RUNNING.getStore();
  if (running === undefined) return false;
  const { modelName, requestId, log } = running;
  const fields = { err: reason instanceof Error ? reason : new Error(`Rejected with ${String(reason)}`), model: modelName };
  log.error(requestId === undefined ? fields : { ...fields, requestId }, 'A promise of the handler was rejected and nobody caught it');
  return true;
}
