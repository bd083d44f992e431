import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { BatchMember, BatchResult } from '../../src/core/batch.ts';
import { SILENT_LOGGER, type Logger } from '../../src/core/context.ts';
import {
  createInlineExecutor,
  createProcessExecutor,
  type Executor,
  type LoadedModel,
  type ProcessExecutorOptions,
} from '../../src/executor/index.ts';
import { batchOf, memberOf, untilCapacity } from './describe-executor.ts';
import { CHILD_ENTRY } from './executor-children/entries.ts';

type HandlerName = 'misbehaving' | 'not-idempotent';

const executors: Executor[] = [];

afterEach(async () => {
  await Promise.all(executors.splice(0).map((executor) => executor.stop(0)));
});

function createProcess(options: Partial<ProcessExecutorOptions> = {}, log: Logger = SILENT_LOGGER): Executor {
  const executor = createProcessExecutor({ childEntry: CHILD_ENTRY, stopTimeoutMs: 200, env: process.env, ...options }, { log });
  executors.push(executor);
  return executor;
}

function createInline(): Executor {
  const executor = createInlineExecutor({ log: SILENT_LOGGER });
  executors.push(executor);
  return executor;
}

function load(executor: Executor, handler: HandlerName = 'misbehaving', maxStuck = 16): Promise<LoadedModel> {
  const path = fileURLToPath(new URL(`./executor-handlers/${handler}.mjs`, import.meta.url));
  return executor.load(
    {
      modelName: 'm',
      modelVersion: '1',
      engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
      handler: { path, concurrency: 8, engineRuns: 1, maxStuck },
    },
    1,
    new AbortController().signal,
  );
}

/** A request whose body says what the handler is to do. */
function act(what: string, signal?: AbortSignal, rest: Partial<BatchMember> = {}): BatchMember {
  const member = memberOf([], signal, { body: { contentType: 'text/plain', bytes: Buffer.from(what) } });
  return { ...member, ...rest };
}

const answersOf = ({ responses }: BatchResult): string[] => responses.map((response) => (response.ok ? 'ok' : response.error.reason));
const run = async (model: LoadedModel, member: BatchMember): Promise<string> => answersOf(await model.run(batchOf(member)))[0]!;

describe.each([
  ['inline', createInline],
  ['process', () => createProcess({ env: { ...process.env, SECRET: 'x', SHOWN: 'y' }, extraEnv: ['SHOWN'] })],
] as const)('a handler in executor %s', (isolation, create) => {
  test('says what it can, how much it takes at once, and that nothing is known of its tensors', async () => {
    const model = await load(create());
    expect(model.capabilities).toEqual({ accepts: ['text/plain'], explains: true, runsUserCode: true });
    expect(model.capacity).toBe(8);
    expect(model.signature).toMatchObject({ isOpen: true, inputs: [], outputs: [] });
  });

  test.each(['infer', 'explain'] as const)('sees verb %s and the context, and answers a body with headers and measurements', async (verb) => {
    const model = await load(create());
    const plain = act('context');
    const ctx = { ...plain.ctx, id: 'r1', protocol: 'v1-rest' as const, headers: { 'x-h': 'v' }, deadline: performance.now() + 60_000 };
    const { responses, measurements, timings } = await model.run(batchOf(act('context', undefined, { verb, ctx })));
    const [response] = responses;
    if (response?.ok !== true) throw new Error('Expected an answer', { cause: response?.error });
    expect(response.value.outputs).toEqual([]);
    expect(response.value.headers).toEqual({ 'x-answer': 'yes' });
    expect(response.value.body?.contentType).toBe('application/json');
    const seen = JSON.parse(Buffer.from(response.value.body!.bytes).toString()) as Record<string, unknown>;
    expect(seen).toMatchObject({ requestId: 'r1', verb, protocol: 'v1-rest', headers: { 'x-h': 'v' } });
    expect(seen['remainingMs']).toBeGreaterThan(50_000);
    expect(seen['remainingMs']).toBeLessThanOrEqual(60_000);
    if (isolation === 'process') expect([seen['secret'], seen['shown']]).toEqual([undefined, 'y']);
    expect(measurements).toMatchObject([{ kind: 'counter', name: 'acts_total', labels: { act: 'context' }, value: 1 }]);
    if (verb === 'explain') expect(timings.explainMs).toBeGreaterThanOrEqual(0);
    else expect(timings.explainMs).toBeUndefined();
  });

  test('that never answers costs its request alone; after so many the model is worn out, which is told with each batch', async () => {
    const model = await load(create(), 'misbehaving', 1);
    let told = 0;
    model.onWornOut(() => told++);
    const outcomes: string[] = [];
    for (let i = 0; i < 3; i++) outcomes.push(await run(model, act('never', AbortSignal.timeout(20))));
    expect(outcomes).toEqual(['cancelled', 'cancelled', 'cancelled']);
    // A call has a moment to come to its end before it counts.
    const ask = async (): Promise<number> => {
      expect(await run(model, act('echo'))).toBe('ok');
      return told;
    };
    await expect.poll(ask).toBe(1);
    expect(await ask()).toBe(2);
    expect(model.capacity).toBe(8);
  });
});

describe('a process with a handler', () => {
  test('that loops for ever is ended after its request was given up; neighbours are answered by the next one', async () => {
    const model = await load(createProcess());
    const neighbours = [run(model, act('wait a little')), run(model, act('wait a little'))];
    const looping = run(model, act('loop for ever', AbortSignal.timeout(100)));
    expect(await Promise.all([looping, ...neighbours])).toEqual(['cancelled', 'ok', 'ok']);
    await untilCapacity(model, 8);
    expect(await run(model, act('echo'))).toBe('ok');
  });

  test('that exits is lost for the request that ends it a second time, not for its neighbours', async () => {
    const model = await load(createProcess({ restart: { delaysMs: [0, 10] } }));
    const runs = ['wait a little', 'exit later', 'wait a little'].map((what) => run(model, act(what)));
    expect(await Promise.all(runs)).toEqual(['ok', 'executor_lost', 'ok']);
    await untilCapacity(model, 8);
  });

  test('is not given a request twice when the handler is not idempotent', async () => {
    const model = await load(createProcess(), 'not-idempotent');
    const runs = ['wait a little', 'exit'].map((what) => run(model, act(what)));
    expect(await Promise.all(runs)).toEqual(['executor_lost', 'executor_lost']);
    await untilCapacity(model, 8);
    expect(await run(model, act('echo'))).toBe('ok');
  });

  test('that exits whenever it is asked does not keep the waiting for ever', async () => {
    const model = await load(createProcess({ restart: { delaysMs: [0] } }));
    const runs = Array.from({ length: 8 }, () => run(model, act('exit')));
    expect(await Promise.all(runs)).toEqual(Array<string>(8).fill('executor_lost'));
  });

  test('does not repeat what nobody waits for any more', async () => {
    const model = await load(createProcess());
    const gone = new AbortController();
    const waiting = run(model, act('never', gone.signal));
    const exiting = run(model, act('exit', gone.signal));
    gone.abort();
    expect(new Set(await Promise.all([waiting, exiting]))).toEqual(new Set(['cancelled']));
  });

  test('outlives a promise that the handler forgot, and logs it with its model and request', async () => {
    const records: { readonly fields: object; readonly message: string }[] = [];
    const write = (fields: object, message: string): void => void records.push({ fields, message });
    const log: Logger = { ...SILENT_LOGGER, error: write, child: () => log };
    const model = await load(createProcess({}, log));
    const member = act('forget a promise');
    expect(await run(model, { ...member, ctx: { ...member.ctx, id: 'r7' } })).toBe('ok');
    await expect.poll(() => records).toHaveLength(1);
    expect(records[0]).toMatchObject({ fields: { model: 'm', requestId: 'r7', err: { message: 'forgotten' } } });
    expect(await run(model, act('echo'))).toBe('ok');
  });

  test('ends with what is thrown outside of any promise', async () => {
    const model = await load(createProcess(), 'not-idempotent');
    expect(await run(model, act('throw later'))).toBe('executor_lost');
    await untilCapacity(model, 8);
  });

  test('has the heap that it was given', async () => {
    const executor = createProcess({ execArgv: ['--max-old-space-size=64'] });
    expect(await run(await load(executor), act('echo'))).toBe('ok');
  });
});
