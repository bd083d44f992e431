import { SILENT_LOGGER, type Logger } from '../../../../src/core/context.ts';
import type { HttpCall, HttpRoute } from '../../../../src/core/http.ts';
import { createHttpFrontend, type HttpFrontend, type HttpOptions, type HttpOutcome } from '../../../../src/protocol/http/index.ts';

const OPTIONS: HttpOptions = {
  maxBodyBytes: 1 << 20,
  maxHeaderBytes: 8192,
  headerTimeoutMs: 5000,
  bodyTimeoutMs: 5000,
  keepAliveTimeoutMs: 65_000,
  maxConnections: 100,
};

export interface EchoFrontend {
  readonly frontend: HttpFrontend;
  readonly port: number;
  readonly outcomes: HttpOutcome[];
  /** Resolves with the next call that a `/slow` route got, which answers when `release` is called. */
  readonly nextSlow: () => Promise<SlowCall>;
}

export interface SlowCall {
  readonly call: HttpCall;
  readonly release: () => void;
}

/** A running front end with routes that show what the adapter hands over. */
export async function startEcho(
  options: Partial<HttpOptions> = {},
  extra: { readonly routes?: readonly HttpRoute[]; readonly log?: Logger } = {},
): Promise<EchoFrontend> {
  const slowCalls: SlowCall[] = [];
  const waiting: ((slow: SlowCall) => void)[] = [];
  const outcomes: HttpOutcome[] = [];
  const routes: HttpRoute[] = [
    { method: 'GET', path: '/hello', handle: () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: 'hello' }) },
    { method: 'GET', path: '/names/:name', handle: (call) => ({ status: 200, body: JSON.stringify(call.params) }) },
    {
      method: 'POST',
      path: '/echo',
      async handle(call) {
        const body = await call.readBody();
        return { status: 200, body: [body.subarray(0, 1), body.subarray(1)] };
      },
    },
    { method: 'POST', path: '/ignore', handle: () => ({ status: 404, body: 'no' }) },
    {
      method: 'GET',
      path: '/slow',
      async handle(call) {
        await new Promise<void>((release) => {
          const slow = { call, release };
          const next = waiting.shift();
          if (next === undefined) slowCalls.push(slow);
          else next(slow);
        });
        return { status: 200, body: 'slow' };
      },
    },
    ...(extra.routes ?? []),
  ];
  const observer = { finished: (outcome: HttpOutcome) => outcomes.push(outcome) };
  const frontend = createHttpFrontend({ ...OPTIONS, ...options }, { routes, log: extra.log ?? SILENT_LOGGER, observer });
  const port = await frontend.start('127.0.0.1', 0);
  const nextSlow = (): Promise<SlowCall> => {
    const slow = slowCalls.shift();
    return slow === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(slow);
  };
  return { frontend, port, outcomes, nextSlow };
}
