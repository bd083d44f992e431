import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHandlerRepository, say, startLoad, type HandlerRepository, type Load } from '../support/handler-repository.ts';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { modelDir } from '../support/vectors.ts';

/**
 * Does what the text says. A neighbour never comes to its end in the process that first met it: only one that was lost there and came back is answered, which
 * the file that it leaves behind tells.
 */
const HANDLER = `
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineHandler, InvalidRequest, reply } from 'kserve-node';

const never = () => new Promise(() => undefined);
const ACTS = {
  answer: () => undefined,
  neighbour: (ctx) => {
    const mark = join(ctx.files, ctx.requestId + '.met');
    if (existsSync(mark)) return undefined;
    writeFileSync(mark, '');
    ctx.log.info({}, 'met ' + ctx.requestId);
    return never();
  },
  loop: () => { for (;;); },
  throw: () => { throw new Error('no such colour'); },
  refuse: () => { throw new InvalidRequest('Cannot read the text: expected a colour'); },
  exit: () => process.exit(3),
  leak: () => {
    const kept = [];
    for (;;) kept.push(new Array(10_000).fill(kept.length));
  },
  never,
  forget: () => { void Promise.reject(new Error('forgotten')); },
};

export default defineHandler({
  accepts: ['text/plain'],
  async predict(request, _next, ctx) {
    await ACTS[Buffer.from(request.body.bytes).toString()](ctx);
    return reply(String(process.pid), 'text/plain');
  },
});
`;

const DIGIT = JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: new Array<number>(64).fill(0.5) }] });
const MAX_STUCK = 2;
const HEAP_MB = 64;

let repository: HandlerRepository;
let server: ServerProcess;
beforeAll(async () => {
  repository = createHandlerRepository({
    'faulty/handler.mjs': HANDLER,
    'calm/handler.mjs': HANDLER,
    'digits/model.onnx': readFileSync(join(modelDir('digits-mlp'), 'model.onnx')),
  });
  const flags = ['--enable_model_handlers=true', `--handler_heap_mb=${String(HEAP_MB)}`, `--handler_max_stuck=${String(MAX_STUCK)}`];
  server = await startServerProcess([`--model_dir=${repository.dir}`, ...flags]);
});
afterAll(async () => {
  const code = await server.stop();
  repository.remove();
  expect(code).toBe(0);
});

/** The process that answers for a model. */
async function processOf(model: string): Promise<number> {
  const { status, text } = await say(server, model, 'answer');
  expect(status, text).toBe(200);
  return Number(text);
}

async function errorOf(saying: ReturnType<typeof say>): Promise<readonly [status: number, message: string]> {
  const { status, text } = await saying;
  return [status, (JSON.parse(text) as { readonly error: string }).error];
}

/** The log records with that request id. */
function recordsOf(requestId: string): Record<string, unknown>[] {
  const lines = server.output().split('\n');
  return lines
    .filter((line) => line.includes(requestId) && line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The models beside the faulty one are asked all the time. */
function startNeighbours(): Load {
  let turn = 0;
  return startLoad(2, async () => {
    if (turn++ % 2 === 0) {
      const { status, text } = await say(server, 'calm', 'answer');
      return status === 200 ? undefined : `calm: ${status} ${text}`;
    }
    const response = await fetch(`${server.url}/v2/models/digits/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: DIGIT,
    });
    const text = await response.text();
    return response.status === 200 ? undefined : `digits: ${response.status} ${text}`;
  });
}

/** Asks for something that ends the process, with a neighbour in the same model and others in other models; resolves with what became of it. */
async function endProcess(act: string, headers: Readonly<Record<string, string>> = {}): Promise<readonly [status: number, message: string]> {
  const [before, calm] = [await processOf('faulty'), await processOf('calm')];
  const others = startNeighbours();
  const neighbour = say(server, 'faulty', 'neighbour', { 'x-request-id': `beside-${act}` });
  await server.waitFor(new RegExp(`met beside-${act}`));
  const fault = await errorOf(say(server, 'faulty', act, { 'x-request-id': `the-${act}`, ...headers }));
  const { status, text } = await neighbour;
  expect([status, text]).toEqual([200, expect.stringMatching(/^\d+$/)]);
  expect(Number(text)).not.toBe(before);
  const answeredBefore = others.answered();
  await until(() => others.answered() >= answeredBefore + 4);
  expect(await others.stop()).toEqual([]);
  expect(await processOf('calm')).toBe(calm);
  expect(await processOf('faulty')).not.toBe(before);
  return fault;
}

describe('a handler that ends its process', () => {
  it('by a loop without an end: 504 at the deadline, the neighbours are answered, the next request too', async () => {
    const began = performance.now();
    const [status, message] = await endProcess('loop', { 'x-request-timeout-ms': '500' });
    expect([status, message]).toEqual([504, expect.stringMatching(/deadline|within/i)]);
    expect(performance.now() - began).toBeGreaterThan(500);
    await server.waitFor(/A model process was lost/);
  });

  it('by process.exit: 503 that says so, the neighbours are answered, the next request too', async () => {
    expect(await endProcess('exit')).toEqual([503, expect.stringContaining('exited with code 3')]);
  });

  it('by a leak: the heap has its limit, the neighbours are answered, the next request too', async () => {
    expect(await endProcess('leak')).toEqual([503, expect.stringContaining('it ran out of JavaScript heap')]);
    const restarts = (await readMetrics(server.url)).get('kserve_node_executor_restarts_total{model="faulty"}');
    expect(restarts).toBeGreaterThanOrEqual(2);
    await server.waitFor(/heap out of memory/);
  });
});

describe('a handler that throws', () => {
  it('costs its request alone: 500 with the method, the stack in the log only', async () => {
    const before = await processOf('faulty');
    const { status, text } = await say(server, 'faulty', 'throw', { 'x-request-id': 'the-throw' });
    expect([status, JSON.parse(text)]).toEqual([500, { error: 'Handler handler.mjs failed in predict: Error: no such colour' }]);
    await server.waitFor(/"requestId":"the-throw"[^\n]*no such colour[^\n]*\n/);
    const [record] = recordsOf('the-throw').filter(({ level }) => level === 'error');
    expect(record).toMatchObject({ reason: 'handler_failed', status: 500 });
    expect(JSON.stringify(record)).toContain('handler.mjs:');
    expect(await processOf('faulty')).toBe(before);
  });

  it('an InvalidRequest answers 400 with its words', async () => {
    expect(await errorOf(say(server, 'faulty', 'refuse'))).toEqual([400, 'Cannot read the text: expected a colour']);
  });
});

describe('a promise', () => {
  it('that the handler forgot is logged with model and request, and costs nobody anything', async () => {
    const before = await processOf('faulty');
    expect(await say(server, 'faulty', 'forget', { 'x-request-id': 'the-forgetful' })).toMatchObject({ status: 200, text: String(before) });
    await server.waitFor(/[^\n]*forgotten[^\n]*\n/);
    await until(() => recordsOf('the-forgetful').some(({ level }) => level === 'error'));
    expect(recordsOf('the-forgetful').find(({ level }) => level === 'error')).toMatchObject({ model: 'faulty', err: { message: 'forgotten' } });
    expect(await processOf('faulty')).toBe(before);
  });

  it('that never settles costs its request; too many of them the process, without a failed request', async () => {
    const before = await processOf('faulty');
    const recycled = 'kserve_node_handler_recycled_total{model="faulty"}';
    expect((await readMetrics(server.url)).get(recycled)).toBe(0);
    const load = startLoad(4, async () => {
      const { status, text } = await say(server, 'faulty', 'answer');
      return status === 200 ? undefined : `${status} ${text}`;
    });
    for (let i = 0; i < MAX_STUCK; i++) {
      const [status] = await errorOf(say(server, 'faulty', 'never', { 'x-request-timeout-ms': '100' }));
      expect(status).toBe(504);
    }
    expect(await processOf('faulty')).toBe(before);
    expect((await errorOf(say(server, 'faulty', 'never', { 'x-request-timeout-ms': '100' })))[0]).toBe(504);
    await untilMetric(server.url, recycled, 1);
    expect(await processOf('faulty')).not.toBe(before);
    expect(await load.stop()).toEqual([]);
    expect(load.answered()).toBeGreaterThan(10);
    await server.waitFor(/Too many calls of the handler never came to an end/);
  });
});
