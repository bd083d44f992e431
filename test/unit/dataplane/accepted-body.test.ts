import { describe, expect, it } from 'vitest';
import type { Capabilities, Signature } from '../../../src/core/metadata.ts';
import { acceptsBody } from '../../../src/dataplane/index.ts';
import { OUTPUTS, setUp, SIGNATURE } from './set-up.ts';

const OPEN: Signature = { isOpen: true, inputs: [], outputs: [] };
const accepting = (...accepts: string[]): { capabilities: Capabilities } => ({ capabilities: { accepts, explains: false } });
const body = (contentType: string): { contentType: string; bytes: Uint8Array } => ({ contentType, bytes: Uint8Array.of(1, 2) });
const answer = (): Promise<{ modelName: string; outputs: typeof OUTPUTS }> => Promise.resolve({ modelName: 'm', outputs: OUTPUTS });

describe('acceptsBody', () => {
  it.each<[readonly string[], string, boolean]>([
    [['image/png'], 'image/png', true],
    [['image/png'], 'Image/PNG; q=1', true],
    [['Image/PNG;v=1'], 'image/png', true],
    [['image/png'], 'image/jpeg', false],
    [['image/*'], 'image/jpeg', true],
    [['image/*'], 'image', false],
    [['image/*'], 'imagery/png', false],
    [['*/*'], 'text/csv', true],
    [['*/*'], 'application/octet-stream', true],
    [['*/*'], 'application/json', false],
    [['application/*'], 'application/json; charset=utf-8', false],
    [['application/*', 'application/json'], 'application/json; charset=utf-8', true],
    [[], 'image/png', false],
    [['text/csv', 'audio/*'], 'audio/wav', true],
    [['image/png'], '', false],
    [['image/png'], ';', false],
  ])('%j takes %j: %s', (accepts, contentType, isTaken) => {
    expect(acceptsBody(accepts, contentType)).toBe(isTaken);
  });
});

describe('a request with a body', () => {
  it('goes to a model that accepts it, without any check of inputs', async () => {
    const { infer, submitted } = setUp(answer, Infinity, accepting('image/*'));
    await infer({ inputs: [], body: body('image/png; v=1') });
    expect(submitted[0]?.request.body).toEqual(body('image/png; v=1'));
  });

  it('of JSON goes to a model of unknown signature', async () => {
    const { infer, submitted } = setUp(answer, Infinity, { signature: OPEN });
    await infer({ inputs: [], body: body('application/json') });
    expect(submitted).toHaveLength(1);
  });

  it.each([
    ['image/png', {}, 'Cannot use the body for model "m": expected tensors, got "image/png"'],
    ['text/csv', accepting('image/*', 'audio/wav'), 'Cannot use the body for model "m": expected tensors or image/*, audio/wav, got "text/csv"'],
    ['application/json', accepting('*/*'), 'Cannot use the body for model "m": expected tensors or */*, got "application/json"'],
    ['image/png', { signature: OPEN }, 'Cannot use the body for model "m": expected tensors, got "image/png"'],
  ])('of %s that the model does not take never reaches it', async (contentType, served, message) => {
    const { infer, submitted, seen } = setUp(answer, Infinity, served);
    await expect(infer({ inputs: [], body: body(contentType) })).rejects.toMatchObject({ reason: 'unsupported_media_type', message });
    expect(submitted).toEqual([]);
    expect(seen.at(-1)).toBe('finished m/3 v2-grpc unsupported_media_type');
  });

  it('still has its requested outputs checked, and selected from an answer of tensors', async () => {
    const { infer } = setUp(answer, Infinity, accepting('image/png'));
    const request = { inputs: [], body: body('image/png') };
    await expect(infer({ ...request, outputs: [{ name: 'c' }] })).rejects.toMatchObject({ reason: 'invalid_request' });
    expect((await infer({ ...request, outputs: [{ name: 'b' }] })).outputs.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('an answer', () => {
  it('with a body, headers and parameters passes through, and nothing is selected from it', async () => {
    const given = { modelName: 'x', outputs: [], body: body('image/png'), headers: { 'x-a': 'b' }, parameters: { k: 1 } };
    const { infer } = setUp(() => Promise.resolve(given));
    const { body: answered, headers, parameters } = given;
    expect(await infer({ outputs: [{ name: 'a' }] })).toEqual({
      modelName: 'm',
      modelVersion: '3',
      outputs: [],
      body: answered,
      headers,
      parameters,
    });
  });
});

describe('a model of unknown signature', () => {
  it('takes any tensors, of a name each', async () => {
    const { infer, submitted } = setUp(answer, Infinity, { signature: OPEN });
    const any = { name: 'any', datatype: 'FP32', shape: [2], data: new Float32Array(2) } as const;
    await infer({ inputs: [any, { ...any, name: 'other' }] });
    await infer({ inputs: [] });
    expect(submitted).toHaveLength(2);
    await expect(infer({ inputs: [any, any] })).rejects.toThrow('Duplicate input "any": expected it once');
    await expect(infer({ inputs: [{ ...any, shape: [3] }] })).rejects.toThrow('Cannot read input "any": shape [3] has 3 elements, got 2');
    expect(submitted).toHaveLength(2);
  });

  it('is asked for outputs by any name, and one that it did not give is the fault of who asked', async () => {
    const { infer } = setUp(answer, Infinity, { signature: OPEN });
    expect((await infer({ inputs: [], outputs: [{ name: 'b' }] })).outputs.map(({ name }) => name)).toEqual(['b']);
    await expect(infer({ inputs: [], outputs: [{ name: 'z' }] })).rejects.toMatchObject({
      reason: 'invalid_request',
      message: "Unexpected inference output 'z' for model 'm'",
    });
    await expect(infer({ inputs: [], outputs: [{ name: 'b' }, { name: 'b' }] })).rejects.toThrow("Duplicate inference output 'b'");
  });

  it('that publishes its inputs alone has them checked', async () => {
    const { infer } = setUp(answer, Infinity, { signature: { inputs: SIGNATURE.inputs, outputs: [] } });
    await expect(infer({ inputs: [], outputs: [{ name: 'a' }] })).rejects.toThrow('Missing input "x"');
    expect((await infer({ outputs: [{ name: 'a' }] })).outputs.map(({ name }) => name)).toEqual(['a']);
  });
});
