// A handler without a model: the first input is text that says what to do.
import { setTimeout as sleep } from 'node:timers/promises';
import { defineHandler, reply } from '../../../dist/index.js';

const never = () => new Promise(() => undefined);
const ACTS = {
  echo: (request) => request.inputs,
  'wait a little': async (request) => {
    await sleep(300);
    return request.inputs;
  },
  'loop for ever': () => {
    for (;;);
  },
  exit: () => process.exit(7),
  'exit later': async () => {
    await sleep(50);
    process.exit(7);
  },
  never,
  'forget a promise': async (request) => {
    void Promise.reject(new Error('forgotten'));
    return request.inputs;
  },
  'throw later': () => {
    setTimeout(() => {
      throw new Error('thrown by a timer');
    }, 0);
    return never();
  },
  context: (_request, ctx) => {
    ctx.responseHeaders['x-answer'] = 'yes';
    ctx.counter('acts_total', 'Acts').increment({ act: 'context' });
    const { requestId, verb, protocol, headers } = ctx;
    const { SECRET: secret, SHOWN: shown } = process.env;
    return reply({ requestId, verb, protocol, headers, remainingMs: ctx.remainingMs(), secret, shown, pid: process.pid });
  },
};

export const handler = {
  accepts: ['text/plain'],
  predict(request, _next, ctx) {
    const act = request.body === undefined ? request.parameters.act : Buffer.from(request.body.bytes).toString();
    return ACTS[act](request, ctx);
  },
  explain(request, _predict, ctx) {
    return ACTS.context(request, ctx);
  },
};

export default defineHandler(handler);
