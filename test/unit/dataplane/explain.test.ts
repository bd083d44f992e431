import { describe, expect, it } from 'vitest';
import { ServingError } from '../../../src/core/errors.ts';
import { createParameters } from '../../../src/core/tensor.ts';
import type { Explainer, Predict } from '../../../src/dataplane/index.ts';
import { fp32, INPUTS, int64, OUTPUTS, setUp } from './set-up.ts';

const EXPLANATION = [fp32('shap', [3, 2])];
const EXPLAINS = { capabilities: { accepts: ['image/png'], explains: true } };
const PNG = { contentType: 'image/png', bytes: Uint8Array.of(1) };

/** An explainer that does with `predict` what the test says. */
function explainer(ask: (predict: Predict) => Promise<unknown> = () => Promise.resolve()): Explainer {
  return {
    async explain(request, model, predict) {
      await ask(predict);
      return { modelName: model.name, outputs: EXPLANATION, parameters: createParameters([['rows', request.inputs.length]]) };
    },
  };
}

describe('explain', () => {
  it("is the handler's when it can, with the verb told and nothing selected from its answer", async () => {
    const { explain, submitted, seen } = setUp(() => Promise.resolve({ modelName: 'm', outputs: EXPLANATION }), Infinity, EXPLAINS, {
      explainer: explainer(() => Promise.reject(new Error('not asked for'))),
    });
    expect(await explain({ id: 'a', outputs: [{ name: 'b' }] })).toEqual({ modelName: 'm', modelVersion: '3', id: 'a', outputs: EXPLANATION });
    expect(submitted.map(({ verb, priority, ctx }) => [verb, priority, ctx.id])).toEqual([['explain', undefined, 'a']]);
    expect(seen).toEqual(['started m/3 explain', 'finished m/3 explain v2-grpc ok']);
  });

  it('takes bodies that the handler accepts, and passes its body on', async () => {
    const { explain, submitted } = setUp(() => Promise.resolve({ modelName: 'm', outputs: [], body: PNG }), Infinity, EXPLAINS);
    expect(await explain({ inputs: [], body: PNG })).toEqual({ modelName: 'm', modelVersion: '3', outputs: [], body: PNG });
    expect(submitted[0]?.request.body).toBe(PNG);
  });

  it("is the server's when the handler cannot", async () => {
    const { explain, submitted, dataplane } = setUp(undefined, Infinity, {}, { explainer: explainer() });
    expect(await explain()).toEqual({ modelName: 'm', modelVersion: '3', outputs: EXPLANATION, parameters: createParameters([['rows', 2]]) });
    expect(submitted).toEqual([]);
    expect(dataplane.resolve('m', undefined, 'explain')).toMatchObject({ name: 'm' });
  });

  it('says in KServe words that there is neither, before a body is read as after', async () => {
    const { explain, dataplane, seen } = setUp();
    const refusal = { reason: 'unimplemented', message: 'Could not find explainer_host.' };
    await expect(explain()).rejects.toMatchObject(refusal);
    expect(() => dataplane.resolve('m', undefined, 'explain')).toThrow(refusal.message);
    expect(() => dataplane.resolve('nobody', undefined, 'explain')).toThrow('Model with name nobody does not exist.');
    expect(dataplane.resolve('m')).toMatchObject({ name: 'm' });
    expect(seen.at(-1)).toBe('finished m/3 explain v2-grpc unimplemented');
  });

  it('checks requests like infer does', async () => {
    const { explain, submitted } = setUp(undefined, Infinity, EXPLAINS);
    await expect(explain({ inputs: [INPUTS[0]!] })).rejects.toThrow('Missing input "n"');
    await expect(explain({ outputs: [{ name: 'c' }] })).rejects.toThrow("Unexpected inference output 'c'");
    await expect(explain({ parameters: createParameters([['timeout', -1]]) })).rejects.toThrow('"timeout"');
    await expect(explain({ modelName: 'nobody' })).rejects.toMatchObject({ reason: 'model_not_found' });
    expect(submitted).toEqual([]);
  });

  it("by the server's explainer refuses bodies", async () => {
    const served = { capabilities: { accepts: ['image/png'], explains: false } };
    const { explain } = setUp(undefined, Infinity, served, { explainer: explainer() });
    await expect(explain({ inputs: [], body: PNG })).rejects.toMatchObject({
      reason: 'unsupported_media_type',
      message: `Cannot explain model "m": the server's explainer takes tensors, got a body of "image/png"`,
    });
  });

  it('passes on what the explainer fails with', async () => {
    const failing = explainer(() => Promise.reject(new ServingError('invalid_request', 'too many features')));
    const { explain, dataplane, seen } = setUp(undefined, Infinity, {}, { explainer: failing });
    await expect(explain()).rejects.toThrow('too many features');
    expect([dataplane.inFlight, seen.at(-1)]).toEqual([0, 'finished m/3 explain v2-grpc invalid_request']);
  });
});

describe('predict, as an explainer has it', () => {
  it('runs the model at low priority, within the deadline and under the id of the request', async () => {
    let predicted: unknown;
    const asking = explainer(async (predict) => (predicted = await predict(INPUTS, ['b'])));
    const { explain, submitted } = setUp(() => Promise.resolve({ modelName: 'm', outputs: OUTPUTS }), 60_000, {}, { explainer: asking });
    const before = performance.now();
    await explain({ id: 'mine' });
    expect(predicted).toEqual([OUTPUTS[1]]);
    expect(submitted).toMatchObject([{ verb: 'infer', priority: 'low', request: { modelName: 'm', modelVersion: '3' }, ctx: { id: 'mine' } }]);
    expect(submitted[0]!.ctx.deadline).toBeGreaterThanOrEqual(before + 60_000);
    expect(submitted[0]!.ctx.deadline).toBeLessThan(before + 120_000);
  });

  it('gives all outputs when none is named', async () => {
    let predicted: unknown;
    const asking = explainer(async (predict) => (predicted = await predict(INPUTS)));
    await setUp(undefined, Infinity, {}, { explainer: asking }).explain();
    expect(predicted).toEqual(OUTPUTS);
  });

  it.each<[string, (predict: Predict) => Promise<unknown>, string]>([
    ['a missing input', (predict) => predict([INPUTS[0]!]), 'Missing input "n"'],
    ['a shape that the model does not take', (predict) => predict([fp32('x', [3, 4]), INPUTS[1]!]), 'expected FP32 [-1,2], got FP32 [3,4]'],
    ['dimensions that disagree', (predict) => predict([INPUTS[0]!, int64('n', 4)]), 'expected 3 for dimension 0'],
    ['an output that there is not', (predict) => predict(INPUTS, ['c']), "Unexpected inference output 'c'"],
  ])('with %s never reaches the model', async (_, ask, message) => {
    const { explain, submitted } = setUp(undefined, Infinity, {}, { explainer: explainer(ask) });
    await expect(explain()).rejects.toThrow(message);
    expect(submitted).toEqual([]);
  });

  it('of a handler that answers with a body is refused', async () => {
    const asking = explainer((predict) => predict(INPUTS));
    const { explain } = setUp(() => Promise.resolve({ modelName: 'm', outputs: [], body: PNG }), Infinity, {}, { explainer: asking });
    await expect(explain()).rejects.toMatchObject({
      reason: 'unimplemented',
      message: 'Cannot explain model "m": expected tensors as its answer, got a body of "image/png"',
    });
  });
});

describe('readiness of what the models depend on', () => {
  it('is readiness of server and models, while requests are still served', async () => {
    let isHealthy = true;
    const { dataplane, infer } = setUp(undefined, Infinity, {}, { readiness: () => isHealthy });
    expect([dataplane.isReady(), dataplane.isModelReady('m')]).toEqual([true, true]);
    isHealthy = false;
    expect([dataplane.isReady(), dataplane.isModelReady('m'), dataplane.isLive()]).toEqual([false, false, true]);
    expect(await infer()).toMatchObject({ modelName: 'm' });
  });
});
