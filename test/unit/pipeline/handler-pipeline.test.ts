import { describe, expect, it } from 'vitest';
import { StopSource } from '../../../src/core/stop-signal.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { reply, tensor, type Handler, type HandlerContext } from '../../../src/handler/index.ts';
import { answerOf, errorOf, fakeSession, loadFake, member, rows, run, SIGNATURE } from './fake-handler.ts';

const values = (output: Tensor | undefined): readonly number[] => [...(output!.data as Float32Array)];

describe('a pipeline through a handler', () => {
  it('passes tensors through preprocess, model and postprocess', async () => {
    const pipeline = await loadFake({
      preprocess: (request) => [
        tensor(
          'x',
          'FP32',
          [1, 2],
          request.input('x', 'FP32').map((value) => value * 10),
        ),
      ],
      postprocess: (response) => ({
        outputs: [
          tensor(
            'y',
            'FP32',
            [1, 2],
            response.output('y', 'FP32').map((value) => value + 1),
          ),
        ],
      }),
    });
    const { outputs, modelName, modelVersion, id } = await answerOf(pipeline, { id: 'mine' });
    expect(outputs.map(({ name }) => name)).toEqual(['y']);
    expect(values(outputs[0])).toEqual([-9, -19]);
    expect({ modelName, modelVersion, id }).toEqual({ modelName: 'm', modelVersion: '1', id: 'mine' });
  });

  it('is pure when it says so', async () => {
    const pipeline = await loadFake({ isPure: true });
    expect(pipeline.capabilities).toMatchObject({ isPure: true, runsUserCode: true });
  });

  it('publishes the signature of the model when the handler declares none, and its own capabilities', async () => {
    const pipeline = await loadFake({ accepts: ['image/PNG'], explain: () => reply('why'), isIdempotent: false });
    expect(pipeline.signature).toEqual(SIGNATURE);
    expect(pipeline.capabilities).toEqual({ accepts: ['image/png'], explains: true, runsUserCode: true });
    expect(pipeline).toMatchObject({
      platform: 'fake_fakev1',
      isRetryable: false,
      isConcurrent: true,
      concurrency: 4,
      properties: { handler: 'handler.ts' },
    });
  });

  it('publishes what the handler declares, and an open signature where nothing is known', async () => {
    const inputs = [{ name: 'image', datatype: 'UINT8', shape: [-1] }] as const;
    expect((await loadFake({ inputs })).signature).toEqual({ inputs, outputs: SIGNATURE.outputs });
    const alone = await loadFake({ predict: () => reply(1) }, { session: null });
    expect(alone.signature).toEqual({ isOpen: true, inputs: [], outputs: [] });
    expect(alone.platform).toBe('kserve-node_handler');
    expect((await loadFake({ inputs, predict: () => reply(1) }, { session: null })).signature).toEqual({ inputs, outputs: [] });
  });

  it('hands the tensors of the request to the engine themselves, not copies', async () => {
    const session = fakeSession();
    const pipeline = await loadFake({ preprocess: () => undefined }, { session });
    const x = rows('x', [1, 2]);
    await answerOf(pipeline, { inputs: [x] });
    expect(session.calls[0]?.inputs[0]).toBe(x);
    const seen: unknown[] = [];
    const typed = await loadFake({
      preprocess: (request) => {
        seen.push(request.input('x', 'FP32'));
        return undefined;
      },
    });
    await answerOf(typed, { inputs: [x] });
    expect(seen[0]).toBe(x.data);
  });

  it('computes the outputs that the client asked for only where nothing reads others', async () => {
    const wanted = async (handler: Handler): Promise<readonly string[] | undefined> => {
      const session = fakeSession();
      await run(await loadFake(handler, { session }), member({ outputs: [{ name: 'z' }] }));
      return session.calls[0]?.wanted;
    };
    expect(await wanted({})).toEqual(['z']);
    expect(await wanted({ preprocess: (request) => request.inputs })).toEqual(['z']);
    expect(await wanted({ preprocess: (request) => ({ inputs: request.inputs, outputs: ['y'] }) })).toEqual(['y']);
    expect(await wanted({ postprocess: (response) => response })).toEqual([]);
    expect(await wanted({ predict: (request, next) => next(request) })).toEqual(['z']);
    expect(await wanted({ predict: (request, next) => next(request.inputs) })).toEqual([]);
  });

  it('is a complete predictor without a model', async () => {
    const pipeline = await loadFake(
      { predict: (request) => [tensor('sum', 'FP32', [1], [request.numbers('x').reduce((a, b) => a + b, 0)])] },
      { session: null },
    );
    expect(values((await answerOf(pipeline)).outputs[0])).toEqual([3]);
  });

  it('answers a body, with its headers', async () => {
    const pipeline = await loadFake({
      accepts: ['text/*'],
      predict: (request, _next, ctx) => {
        ctx.responseHeaders['X-Label'] = 'seven';
        return reply({ got: request.text(), ids: new Uint8Array([1, 2]) });
      },
    });
    const { outputs, body, headers } = await answerOf(pipeline, { inputs: [], body: { contentType: 'text/plain', bytes: Buffer.from('hé') } });
    expect(outputs).toEqual([]);
    expect(body?.contentType).toBe('application/json');
    expect(JSON.parse(Buffer.from(body!.bytes).toString())).toEqual({ got: 'hé', ids: [1, 2] });
    expect(headers).toEqual({ 'x-label': 'seven' });
  });

  it('puts the parts of an async iterator together', async () => {
    const pipeline = await loadFake({
      async *predict(request, next) {
        for (const row of [1, 2]) {
          const response = await next([
            tensor(
              'x',
              'FP32',
              [1, 2],
              request.input('x', 'FP32').map((value) => value * row),
            ),
          ]);
          yield [response.tensor('y')];
        }
      },
    });
    const { outputs } = await answerOf(pipeline);
    expect(outputs[0]?.shape).toEqual([2, 2]);
    expect(values(outputs[0])).toEqual([-1, -2, -2, -4]);
  });

  it('explains through the whole path of an inference', async () => {
    const pipeline = await loadFake({
      preprocess: (request) => [
        tensor(
          'x',
          'FP32',
          [1, 2],
          request.input('x', 'FP32').map((value) => value + 1),
        ),
      ],
      postprocess: (response) => [tensor('label', 'BYTES', [1], [String(response.output('y', 'FP32')[0])])],
      explain: async (request, predict) => reply({ label: (await predict(request)).strings('label') }),
    });
    const { responses, timings } = await run(pipeline, member({ verb: 'explain' }));
    expect(responses[0]).toMatchObject({ ok: true });
    const [settled] = responses;
    expect(settled?.ok === true && Buffer.from(settled.value.body!.bytes).toString()).toBe('{"label":["-2"]}');
    expect(timings.explainMs).toBeGreaterThanOrEqual(0);
    expect((await errorOf(await loadFake({}), { verb: 'explain' })).reason).toBe('unimplemented');
  });

  it('gives explain the model alone too, on what the model takes', async () => {
    const pipeline = await loadFake({
      preprocess: () => {
        throw new Error('not asked for');
      },
      explain: async (_request, _predict, _ctx, next) => reply(Array.from((await next([tensor('x', 'FP32', [1, 2], [3, 4])])).output('y', 'FP32'))),
    });
    const [settled] = (await run(pipeline, member({ verb: 'explain' }))).responses;
    expect(settled?.ok === true && Buffer.from(settled.value.body!.bytes).toString()).toBe('[-3,-4]');
  });

  it('gives user code a context that works when it is taken apart', async () => {
    let seen: Partial<HandlerContext> = {};
    const pipeline = await loadFake({
      preprocess: (_request, { requestId, headers, protocol, verb, signal, remainingMs, files, model, modelName, log, counter }) => {
        seen = { requestId, headers, protocol, verb, signal, files, modelName, ...(model === undefined ? {} : { model }) };
        counter('calls_total', 'calls').increment();
        log.info({}, 'hello');
        expect(remainingMs()).toBeGreaterThan(0);
        return undefined;
      },
    });
    const { measurements } = await run(pipeline, member({ headers: { traceparent: 't' }, deadline: performance.now() + 10_000 }));
    expect(seen).toMatchObject({
      requestId: 'req-1',
      headers: { traceparent: 't' },
      protocol: 'v2-rest',
      verb: 'infer',
      modelName: 'm',
      files: '/models/m',
    });
    expect(seen.signal).toBeInstanceOf(AbortSignal);
    expect(seen.model).toEqual({ ...SIGNATURE, platform: 'fake_fakev1', properties: { file: 'fake' } });
    expect(measurements).toEqual([{ kind: 'counter', name: 'calls_total', help: 'calls', labels: {}, value: 1 }]);
  });
});

describe('a handler call whose request is given up', () => {
  it('settles as cancelled at once, and wears the model out when too many never end', async () => {
    let entered = (): void => undefined;
    const predict = (): Promise<never> => {
      entered();
      return new Promise(() => undefined);
    };
    const pipeline = await loadFake({ predict }, { maxStuck: 1 });
    for (let i = 0; i < 2; i++) {
      const stop = new StopSource();
      const isIn = new Promise<void>((resolve) => (entered = resolve));
      const running = run(pipeline, member({ signal: stop }));
      await isIn;
      stop.abort('gone');
      const { responses } = await running;
      expect(responses[0]?.ok === false && responses[0].error).toMatchObject({
        reason: 'cancelled',
        message: 'Cancelled while the handler was in predict',
      });
    }
    const gone = new StopSource();
    gone.abort('gone');
    let isWornOut: boolean | undefined;
    const until = performance.now() + 10_000;
    while (isWornOut !== true && performance.now() < until) {
      ({ isWornOut } = await run(pipeline, member({ signal: gone })));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(isWornOut).toBe(true);
  });

  it('aborts the signal that user code holds, so that a call that heeds it is not stuck', async () => {
    const stop = new StopSource();
    let reason: unknown;
    const pipeline = await loadFake(
      {
        predict: (_request, _next, { signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reason = signal.reason;
              reject(new Error('stopped'));
            });
            stop.abort('client gone');
          }),
      },
      { maxStuck: 0 },
    );
    const { responses } = await run(pipeline, member({ signal: stop }));
    expect(responses[0]).toMatchObject({ ok: false, error: { reason: 'cancelled' } });
    expect(reason).toBe('client gone');
  });

  it('does not call user code for a request that is gone before its turn', async () => {
    let calls = 0;
    const pipeline = await loadFake({
      preprocess: () => {
        calls++;
        return undefined;
      },
    });
    const { responses } = await run(pipeline, member({ signal: AbortSignal.abort() }));
    expect(responses[0]).toMatchObject({ ok: false, error: { reason: 'cancelled' } });
    expect(calls).toBe(0);
  });
});

describe('the life of a handler', () => {
  it('loads before the model is ready and unloads before the model is freed', async () => {
    const order: string[] = [];
    const session = fakeSession();
    const pipeline = await loadFake(
      {
        load: async ({ model }) => {
          await Promise.resolve();
          order.push(`load ${model?.platform}`);
        },
        unload: () => void order.push(`unload ${session.isDisposed}`),
      },
      { session },
    );
    expect(order).toEqual(['load fake_fakev1']);
    await pipeline.dispose();
    await pipeline.dispose();
    expect(order).toEqual(['load fake_fakev1', 'unload false']);
    expect(session.isDisposed).toBe(true);
    expect((await errorOf(pipeline)).reason).toBe('model_not_ready');
  });

  it('frees the model when load throws', async () => {
    const session = fakeSession();
    const load = (): never => {
      throw new Error('no labels.txt');
    };
    await expect(loadFake({ load }, { session })).rejects.toThrow('Handler handler.ts failed in load: Error: no labels.txt');
    expect(session.isDisposed).toBe(true);
  });

  it('refuses a handler that can answer nothing', async () => {
    await expect(loadFake({ preprocess: () => undefined }, { session: null })).rejects.toThrow(
      'Cannot load handler /models/m/handler.ts: there is no model file and it has no predict; add predict, or a model file',
    );
  });
});
