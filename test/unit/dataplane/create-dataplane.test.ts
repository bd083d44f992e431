import { describe, expect, it } from 'vitest';
import { createResponseCache } from '../../../src/cache/index.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { createParameters } from '../../../src/core/tensor.ts';
import { statisticsOf } from '../../support/statistics.ts';
import { fp32, INPUTS, int64, OUTPUTS, setUp, SIGNATURE } from './set-up.ts';

describe('infer', () => {
  it('answers with all outputs, the served version and no id when the client gave none', async () => {
    const { infer, seen } = setUp();
    expect(await infer()).toEqual({ modelName: 'm', modelVersion: '3', outputs: OUTPUTS });
    expect(seen).toEqual(['started m/3', 'finished m/3 v2-grpc ok']);
  });

  it("echoes the client's id and passes the model's response parameters on", async () => {
    const parameters = createParameters([['k', 'v']]);
    const { infer } = setUp(() => Promise.resolve({ modelName: 'm', parameters, outputs: OUTPUTS }));
    expect(await infer({ id: '' })).toEqual({ modelName: 'm', modelVersion: '3', id: '', parameters, outputs: OUTPUTS });
  });

  it.each([
    ['one fit for logs under that id', 'mine-1', 'mine-1'],
    ['a very long one', 'x'.repeat(129), 'ctx'],
    ['one with a line break', 'a\nb', 'ctx'],
    ['an empty one', '', 'ctx'],
    ['none', undefined, 'ctx'],
  ])('runs a request with %s, else under the id of its call', async (_name, id, expected) => {
    const { infer, submitted } = setUp();
    const response = await infer(id === undefined ? {} : { id });
    expect(submitted[0]?.ctx.id).toBe(expected);
    expect(response.id).toBe(id);
  });

  it('selects the requested outputs in the requested order', async () => {
    const { infer } = setUp();
    expect((await infer({ outputs: [{ name: 'b' }, { name: 'a' }] })).outputs.map(({ name }) => name)).toEqual(['b', 'a']);
    expect((await infer({ outputs: [{ name: 'b' }] })).outputs.map(({ name }) => name)).toEqual(['b']);
    expect((await infer({ outputs: [] })).outputs).toHaveLength(2);
  });

  it.each<[string, Partial<InferRequest>, string]>([
    ['an unknown output', { outputs: [{ name: 'c' }] }, "Unexpected inference output 'c' for model 'm'"],
    ['an output named __proto__', { outputs: [{ name: '__proto__' }] }, "Unexpected inference output '__proto__' for model 'm'"],
    ['an output asked for twice', { outputs: [{ name: 'a' }, { name: 'a' }] }, "Duplicate inference output 'a' for model 'm': expected it once"],
    ['a missing input', { inputs: [INPUTS[0]!] }, 'Missing input "n"'],
    ['an unknown input', { inputs: [...INPUTS, int64('z', 1)] }, 'Unexpected input "z"'],
    ['an input given twice', { inputs: [...INPUTS, int64('n', 3)] }, 'Duplicate input "n"'],
    ['a wrong datatype', { inputs: [INPUTS[0]!, fp32('n', [3])] }, 'expected INT64 [-1], got FP32 [3]'],
    ['a wrong shape', { inputs: [fp32('x', [3, 4]), INPUTS[1]!] }, 'expected FP32 [-1,2], got FP32 [3,4]'],
    ['data that does not fill the shape', { inputs: [{ ...fp32('x', [3, 2]), data: new Float32Array(5) }, INPUTS[1]!] }, 'has 6 elements, got 5'],
    [
      'dimensions of one name with two sizes',
      { inputs: [INPUTS[0]!, int64('n', 4)] },
      'Cannot use input "n": expected 3 for dimension 0 ("batch"), as dimension 0 of input "x", got 4',
    ],
    ['a negative timeout', { parameters: createParameters([['timeout', -1]]) }, 'Cannot use request parameter "timeout"'],
    ['a fractional timeout', { parameters: createParameters([['timeout', 1.5]]) }, 'expected a non-negative integer of microseconds, got 1.5'],
    ['a timeout that is text', { parameters: createParameters([['timeout', '5']]) }, 'got "5"'],
    ['a timeout that is a truth value', { parameters: createParameters([['timeout', true]]) }, 'got true'],
    ['a negative big timeout', { parameters: createParameters([['timeout', -(2n ** 60n)]]) }, 'got -1152921504606846976'],
  ])('refuses %s without touching the model', async (_, request, message) => {
    const { infer, submitted, seen } = setUp();
    const refused = infer(request);
    await expect(refused).rejects.toMatchObject({ reason: 'invalid_request' });
    await expect(refused).rejects.toThrow(message);
    expect(submitted).toEqual([]);
    expect(seen.at(-1)).toBe('finished m/3 v2-grpc invalid_request');
  });

  it('takes zero-size inputs whose shared dimension agrees', async () => {
    const { infer } = setUp();
    expect(await infer({ inputs: [int64('n', 0), fp32('x', [0, 2])] })).toMatchObject({ modelName: 'm' });
  });

  it('keeps a very long unknown name out of the message', async () => {
    const { infer } = setUp();
    await expect(infer({ outputs: [{ name: 'x'.repeat(100_000) }] })).rejects.toThrow(/^.{1,250}$/);
  });

  it.each([
    ['the context', 1000, undefined, 60_000, 1000],
    ['the timeout parameter, in microseconds', Infinity, 5_000_000, 60_000, 5000],
    ['a 64-bit timeout parameter', Infinity, 5_000_000n, 60_000, 5000],
    ["the server's own", Infinity, undefined, 60_000, 60_000],
    ["the server's own for a timeout of 0", Infinity, 0, 60_000, 60_000],
    ["the server's own for a timeout beyond it", Infinity, 2n ** 63n - 1n, 60_000, 60_000],
  ])('takes the least deadline: of %s', async (_, ctxMs, timeout, serverMs, expectedMs) => {
    const { infer, submitted } = setUp(undefined, serverMs);
    const before = performance.now();
    await infer(timeout === undefined ? {} : { parameters: createParameters([['timeout', timeout]]) }, before + ctxMs);
    const after = performance.now();
    const deadline = submitted[0]!.ctx.deadline;
    expect(deadline).toBeGreaterThanOrEqual(before + expectedMs);
    expect(deadline).toBeLessThanOrEqual(after + expectedMs);
  });

  it('has no deadline without any limit and keeps the rest of the context', async () => {
    const { infer, submitted } = setUp();
    await infer();
    expect(submitted[0]!.ctx).toMatchObject({ id: 'ctx', protocol: 'v2-grpc', deadline: Infinity, headers: { a: 'b' } });
  });

  it('passes on what the scheduler rejects with, and counts the request until then', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { dataplane, infer, seen } = setUp(() => new Promise((_, reject) => (fail = reject)));
    const answer = infer();
    expect(dataplane.inFlight).toBe(1);
    fail(new ServingError('executor_lost', 'gone'));
    await expect(answer).rejects.toMatchObject({ reason: 'executor_lost' });
    expect(dataplane.inFlight).toBe(0);
    expect(seen.at(-1)).toBe('finished m/3 v2-grpc executor_lost');
  });

  it('turns anything else that is thrown into internal without its text', async () => {
    const { infer } = setUp(() => Promise.reject(new TypeError('secret')));
    await expect(infer()).rejects.toMatchObject({ reason: 'internal', message: 'Internal server error' });
  });

  it('fails when the model did not produce a requested output', async () => {
    const { infer } = setUp(() => Promise.resolve({ modelName: 'm', outputs: [OUTPUTS[0]!] }));
    await expect(infer({ outputs: [{ name: 'b' }] })).rejects.toMatchObject({ reason: 'model_failed' });
  });

  it.each([
    ['an unknown model', { modelName: 'x' }, 'model_not_found'],
    ['an unknown version', { modelVersion: '9' }, 'model_not_found'],
    ['a loading model', { modelName: 'loading' }, 'model_not_ready'],
  ])('refuses %s, which observers never hear of', async (_, request, reason) => {
    const { infer, seen } = setUp();
    await expect(infer(request)).rejects.toMatchObject({ reason });
    expect(seen).toEqual([]);
  });
});

describe('the other verbs', () => {
  it('publish server and model metadata', () => {
    const { dataplane } = setUp();
    expect(dataplane.serverMetadata()).toEqual({
      name: 'kserve-node',
      version: '1.2.3',
      extensions: ['model_repository_extension', 'model_repository', 'binary_tensor_data', 'parameters', 'statistics'],
    });
    expect(dataplane.modelMetadata('m', '3')).toEqual({
      name: 'm',
      versions: ['3'],
      platform: 'onnx_onnxv1',
      properties: { file: 'model.onnx' },
      ...SIGNATURE,
    });
    expect(dataplane.resolve('m')).toMatchObject({ name: 'm', version: '3', signature: SIGNATURE });
    expect(dataplane.modelNames()).toEqual(['m', 'loading']);
    expect([dataplane.isModelReady('m'), dataplane.isModelReady('loading')]).toEqual([true, false]);
  });

  it('filter the index', () => {
    const { dataplane } = setUp();
    expect(dataplane.index({ readyOnly: false })).toHaveLength(2);
    expect(dataplane.index({ readyOnly: true }).map(({ name }) => name)).toEqual(['m']);
  });

  it('pass load and unload on', async () => {
    const { dataplane } = setUp();
    await expect(dataplane.load('x')).rejects.toMatchObject({ reason: 'model_not_found' });
    await dataplane.unload('m');
  });
});

describe('shutdown', () => {
  it('is not ready from its beginning, but serves until it stops accepting', async () => {
    const { dataplane, infer } = setUp();
    expect([dataplane.isLive(), dataplane.isReady()]).toEqual([true, true]);
    dataplane.beginShutdown();
    expect([dataplane.isLive(), dataplane.isReady(), dataplane.isModelReady('m')]).toEqual([true, false, true]);
    expect(await infer()).toMatchObject({ modelName: 'm' });
    dataplane.stopAccepting();
    dataplane.beginShutdown();
    await expect(infer()).rejects.toMatchObject({ reason: 'server_not_ready', message: 'Server is not ready.' });
    expect(() => dataplane.resolve('m')).toThrow('Server is not ready.');
    await expect(dataplane.load('m')).rejects.toMatchObject({ reason: 'server_not_ready' });
    expect(dataplane.isReady()).toBe(false);
  });

  it('lets what is in flight finish after it stopped accepting', async () => {
    let answer: (response: InferResponse) => void = () => undefined;
    const { dataplane, infer } = setUp(() => new Promise((resolve) => (answer = resolve)));
    const pending = infer();
    dataplane.stopAccepting();
    answer({ modelName: 'm', outputs: OUTPUTS });
    expect(await pending).toMatchObject({ modelName: 'm' });
  });
});

describe('with a response cache', () => {
  const PURE = { capabilities: { accepts: [], explains: false, isPure: true } } as const;
  const cacheOf = (): ReturnType<typeof createResponseCache> => createResponseCache({ maxBytes: 1 << 20, ttlMs: Infinity });

  it('answers an equal request without the model, under its own id and with its own choice of outputs', async () => {
    const { infer, submitted } = setUp(undefined, Infinity, PURE, { cache: cacheOf() });
    expect(await infer({ id: 'a' })).toEqual({ modelName: 'm', modelVersion: '3', id: 'a', outputs: OUTPUTS, isShared: true });
    expect(await infer({ id: 'b' })).toEqual({ modelName: 'm', modelVersion: '3', id: 'b', outputs: OUTPUTS, isShared: true });
    expect(submitted.length).toBe(1);
    expect((await infer({ outputs: [{ name: 'b' }] })).outputs).toEqual([OUTPUTS[1]]);
    expect(submitted.length).toBe(2);
  });

  it('checks requests all the same', async () => {
    const { infer } = setUp(undefined, Infinity, PURE, { cache: cacheOf() });
    await infer();
    await expect(infer({ inputs: [INPUTS[0]!] })).rejects.toThrow('Missing input "n"');
  });

  it('runs every request to a model that is not pure', async () => {
    const { infer, submitted } = setUp(undefined, Infinity, {}, { cache: cacheOf() });
    await infer();
    await infer();
    expect(submitted.length).toBe(2);
  });
});

describe('statistics', () => {
  const statistics = statisticsOf;

  it('are those of the version that serves, or of every model that is ready', () => {
    const { dataplane } = setUp(undefined, Infinity, {}, { statistics });
    expect(dataplane.statistics('m')).toEqual([statisticsOf('m', '3')]);
    expect(dataplane.statistics()).toEqual([statisticsOf('m', '3')]);
  });

  it('refuse what is unknown or loading', () => {
    const { dataplane } = setUp(undefined, Infinity, {}, { statistics });
    expect(() => dataplane.statistics('nobody')).toThrow('Model with name nobody does not exist.');
    expect(() => dataplane.statistics('m', '9')).toThrow('version 9');
    expect(() => dataplane.statistics('loading')).toThrow('is not ready');
  });
});
