import type { HttpCall, HttpReply } from '../../core/http.ts';
import { eventModeOf, type EventMode, type EventOptions } from './event-mode.ts';

type Run = (call: HttpCall) => HttpReply | Promise<HttpReply>;

/**
 * Runs a call that may carry a CloudEvent: `run` sees the call that the event stands for, with the data as its body, and what it replies goes out in an
 * event of the same mode. Plain calls, and errors, are left as they are. Throws invalid_request, in KServe's words, for an event that is not valid.
 */
export function answerEvent(call: HttpCall, modelName: string, options: EventOptions, run: Run): HttpReply | Promise<HttpReply> {
  const mode = eventModeOf(call);
  return mode === undefined ? run(call) : answer(call, mode, modelName, options, run);
}

async function answer(call: HttpCall, mode: EventMode, modelName: string, options: EventOptions, run: Run): Promise<HttpReply> {
  // The library takes as long to load as a small model: only when the first event comes.
  const { openEvent, wrapReply } = await import('./event-call.ts');
  const opened = await openEvent(call, mode, options.maxJsonDepth);
  return wrapReply(await run(opened.call), opened, modelName, options);
}
