import type { BatchMember } from '../core/batch.ts';
import type { Logger, Protocol } from '../core/context.ts';
import type { Verb } from '../core/infer.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { HandlerContext, HandlerCounter, HandlerHistogram, LoadContext } from '../handler/index.ts';
import { checkResponseHeaders } from './response-headers.ts';
import type { RunningRequest } from './running-request.ts';

/** The context of one request. What costs something is made when user code first asks for it. */
export class HandlerCall implements HandlerContext, RunningRequest {
  readonly #shared: LoadContext;
  readonly #member: BatchMember;
  #signal: AbortSignal | undefined;
  #log: Logger | undefined;
  #responseHeaders: Record<string, string> | undefined;

  constructor(shared: LoadContext, member: BatchMember) {
    this.#shared = shared;
    this.#member = member;
  }

  get modelName(): string {
    return this.#shared.modelName;
  }

  get modelVersion(): string {
    return this.#shared.modelVersion;
  }

  get model(): LoadContext['model'] {
    return this.#shared.model;
  }

  get files(): string {
    return this.#shared.files;
  }

  get requestId(): string {
    return this.#member.ctx.id;
  }

  get verb(): Verb {
    return this.#member.verb;
  }

  get protocol(): Protocol {
    return this.#member.ctx.protocol;
  }

  get headers(): Readonly<Record<string, string | undefined>> {
    return this.#member.ctx.headers;
  }

  get log(): Logger {
    this.#log ??= this.#shared.log.child({ requestId: this.requestId });
    return this.#log;
  }

  get signal(): AbortSignal {
    this.#signal ??= abortSignalOf(this.#member.signal);
    return this.#signal;
  }

  get responseHeaders(): Record<string, string> {
    this.#responseHeaders ??= Object.create(null) as Record<string, string>;
    return this.#responseHeaders;
  }

  /** A getter, so that it works when taken out of the context. */
  get remainingMs(): () => number {
    const { deadline } = this.#member.ctx;
    return () => Math.max(0, deadline - performance.now());
  }

  get counter(): (name: string, help: string) => HandlerCounter {
    return this.#shared.counter;
  }

  get histogram(): (name: string, help: string, buckets?: readonly number[]) => HandlerHistogram {
    return this.#shared.histogram;
  }

  /** Headers of the predictor's answer go on to the client; the handler sees them, and what it has set itself stays. */
  passOn(headers: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(headers)) this.responseHeaders[name] ??= value;
  }

  /** The headers that were set, checked; undefined for none. Throws TypeError. */
  takeHeaders(): Readonly<Record<string, string>> | undefined {
    return this.#responseHeaders === undefined ? undefined : checkResponseHeaders(this.#responseHeaders);
  }
}

/** `fetch` and the like take nothing but a real one. */
function abortSignalOf(signal: StopSignal): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort(signal.reason);
  };
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort);
  return controller.signal;
}
