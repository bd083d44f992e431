import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defineHandler, InvalidRequest, reply, tensor } from '../../../src/index.ts';
import { testHandler } from '../../../src/testing/index.ts';

const MODEL = resolve(import.meta.dirname, '../../fixtures/models/digits-mlp');
const EMPTY = new Float32Array(64);

describe('testHandler', () => {
  it('runs a handler around the model of a directory, whose signature requests are checked against', async () => {
    const tested = await testHandler(defineHandler({ postprocess: (response) => [response.tensor('label')] }), { modelDir: MODEL });
    expect(tested.signature.inputs).toMatchObject([{ name: 'input', datatype: 'FP32' }]);
    const response = await tested.infer([tensor('input', 'FP32', [1, 64], EMPTY)]);
    expect(response.outputs.map(({ name }) => name)).toEqual(['label']);
    expect(response.output('label', 'INT64')).toHaveLength(1);
    const byJson = await tested.infer({ json: { instances: [[...EMPTY]] } });
    expect(byJson.output('label', 'INT64')).toEqual(response.output('label', 'INT64'));
    await expect(tested.infer([tensor('inptu', 'FP32', [1, 64], EMPTY)])).rejects.toMatchObject({
      reason: 'invalid_request',
      message: expect.stringContaining('inptu') as unknown,
    });
    await expect(tested.infer({ json: { instances: [[1]] } })).rejects.toMatchObject({ reason: 'invalid_request' });
    await tested.close();
  });

  it('runs a handler around a stand-in, and keeps what it logs and measures', async () => {
    const handler = defineHandler({
      async predict(request, next, ctx) {
        ctx.log.info({ of: ctx.requestId }, 'asked');
        ctx.counter('asked_total', 'Asked').increment({ how: ctx.protocol });
        ctx.responseHeaders['x-seen'] = ctx.headers['x-given'] ?? '';
        return next(request);
      },
    });
    const tested = await testHandler(handler, { next: (request) => [tensor('twice', 'FP64', [1], [2 * (request.input('x', 'FP64')[0] ?? 0)])] });
    const response = await tested.infer([tensor('x', 'FP64', [1], [21])], { id: 'r-1', headers: { 'x-given': 'yes' } });
    expect([...response.output('twice', 'FP64')]).toEqual([42]);
    expect(response.headers).toEqual({ 'x-seen': 'yes' });
    expect(tested.logs).toMatchObject([{ level: 'info', message: 'asked', fields: { of: 'r-1' } }]);
    expect(tested.measurements).toMatchObject([{ kind: 'counter', name: 'asked_total', labels: { how: 'v2-rest' }, value: 1 }]);
    await tested.close();
  });

  it('blames the handler for tensors that the model behind the stand-in does not take', async () => {
    const model = { inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1] }], outputs: [] };
    const handler = defineHandler({ preprocess: () => [tensor('y', 'FP32', [1], [1])] });
    const tested = await testHandler(handler, { next: () => [], model });
    await expect(tested.infer([tensor('x', 'FP32', [1], [1])])).rejects.toMatchObject({ reason: 'handler_failed' });
    await tested.close();
  });

  it('gives bodies of accepted types to the handler and refuses others', async () => {
    const handler = defineHandler({ accepts: ['text/*'], inputs: [], predict: (request) => reply({ length: request.text().length }) });
    const tested = await testHandler(handler);
    const response = await tested.infer({ body: 'four', contentType: 'text/plain' });
    expect(response.json()).toEqual({ length: 4 });
    await expect(tested.infer({ body: 'x', contentType: 'image/png' })).rejects.toMatchObject({ reason: 'unsupported_media_type' });
    await tested.close();
  });

  it('gives JSON unread to a handler that declares no inputs', async () => {
    const tested = await testHandler(defineHandler({ predict: (request) => reply(request.json()) }));
    expect((await tested.infer({ json: { anything: [1] } })).json()).toEqual({ anything: [1] });
    await tested.close();
  });

  it('explains, and says so when there is no explain', async () => {
    const explaining = await testHandler(defineHandler({ explain: () => [tensor('why', 'FP32', [1], [1])] }));
    expect([...(await explaining.explain({ json: {} })).output('why', 'FP32')]).toEqual([1]);
    await explaining.close();
    const silent = await testHandler(defineHandler({ predict: () => [] }));
    await expect(silent.explain({ json: {} })).rejects.toMatchObject({ reason: 'unimplemented' });
    await silent.close();
  });

  it('rejects with what a client would be told', async () => {
    const handler = defineHandler({
      predict: (_request, _next, { headers }) => {
        throw headers['x-fault'] === 'client' ? new InvalidRequest('not like that') : new Error('secret');
      },
    });
    const tested = await testHandler(handler);
    await expect(tested.infer([], { headers: { 'x-fault': 'client' } })).rejects.toMatchObject({
      reason: 'invalid_request',
      message: 'not like that',
    });
    await expect(tested.infer([])).rejects.toMatchObject({ reason: 'handler_failed' });
    await tested.close();
  });

  it('gives up what does not settle, and aborts its signal', async () => {
    const signals: AbortSignal[] = [];
    const handler = defineHandler({
      predict: (_request, _next, { signal }) => {
        signals.push(signal);
        return new Promise<never>(() => undefined);
      },
    });
    const tested = await testHandler(handler);
    await expect(tested.infer([], { timeoutMs: 20 })).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    const leaving = new AbortController();
    const left = tested.infer([], { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ reason: 'cancelled' });
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
    await tested.close();
  });

  it('calls load before the first request and unload at the end', async () => {
    const calls: string[] = [];
    const handler = defineHandler({
      load: ({ files, modelName }) => void calls.push(`load ${modelName} ${files}`),
      predict: () => [],
      unload: () => void calls.push('unload'),
    });
    const tested = await testHandler(handler, { modelName: 'mine', files: '/somewhere' });
    await tested.close();
    expect(calls).toEqual(['load mine /somewhere', 'unload']);
  });

  it('refuses what cannot be tested', async () => {
    await expect(testHandler(defineHandler({}))).rejects.toMatchObject({ reason: 'handler_failed' });
    await expect(testHandler(defineHandler({}), { modelDir: '/nowhere' })).rejects.toMatchObject({ reason: 'model_failed' });
    await expect(testHandler(defineHandler({}), { modelDir: MODEL, next: () => [] })).rejects.toMatchObject({ reason: 'invalid_request' });
  });
});
