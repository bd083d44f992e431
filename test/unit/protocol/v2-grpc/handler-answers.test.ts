import { once } from 'node:events';
import type * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InferResponse } from '../../../../src/core/infer.ts';
import { echo, failure, fp32Request, Rig } from './harness.ts';

describe('ModelInfer of a model with a handler', () => {
  let rig: Rig;
  const answer = (response: Partial<InferResponse>): void => {
    rig.dataplane.infer = (request) => Promise.resolve({ ...echo(request), ...response });
  };

  beforeEach(async () => {
    rig = await Rig.start();
  });
  afterEach(() => rig.close());

  it.each([
    [true, 'explanation'],
    [false, 'x'],
  ])('with the parameter explain %s answers with output %s', async (bool_param, name) => {
    const reply = await rig.call('ModelInfer', fp32Request({ parameters: { explain: { bool_param } } }));
    expect(reply).toMatchObject({ outputs: [{ name }] });
  });

  it.each([
    [{ string_param: 'true' }, 'got a string'],
    [{ int64_param: 1 }, 'got a number'],
    [{ double_param: 1 }, 'got a number'],
  ])('with the parameter explain of %j is INVALID_ARGUMENT', async (explain, message) => {
    const error = await failure(rig.call('ModelInfer', fp32Request({ parameters: { explain } })));
    expect(error.codeName).toBe('INVALID_ARGUMENT');
    expect(error.details).toBe(`Cannot use request parameter "explain": expected a boolean, ${message}`);
    expect(rig.dataplane.calls).toEqual([]);
  });

  it('sends the headers of the handler before the answer, its own excepted', async () => {
    const headers = { 'x-label': 'seven', 'x-bytes-bin': 'AP8=', 'content-type': 'image/png', 'grpc-status': '3', te: 'x' };
    answer({ headers });
    const { reply, call } = rig.begin('ModelInfer', fp32Request());
    const [[metadata]] = await Promise.all([once(call, 'metadata') as Promise<[grpc.Metadata]>, reply]);
    expect(metadata.getMap()).toMatchObject({ 'x-label': 'seven', 'x-bytes-bin': Buffer.from([0, 255]) });
    expect(metadata.get('te')).toEqual([]);
    expect(metadata.get('content-type')).toEqual(['application/grpc+proto']);
  });

  it.each([[{ 'x a': 'b' }], [{ 'x-a': 'line\nbreak' }], [{ 'x-a': 'ü€' }]])('with the header %j is INTERNAL', async (headers) => {
    answer({ headers });
    const error = await failure(rig.call('ModelInfer', fp32Request()));
    expect(error.codeName).toBe('INTERNAL');
    expect(error.details).toContain('Cannot answer: expected response headers that gRPC can carry, got "x');
  });

  it('that answers with a body is UNIMPLEMENTED and names HTTP', async () => {
    answer({ outputs: [], body: { contentType: 'image/png', bytes: Uint8Array.of(1) } });
    const error = await failure(rig.call('ModelInfer', fp32Request()));
    expect(error.codeName).toBe('UNIMPLEMENTED');
    expect(error.details).toBe(
      'Cannot answer over gRPC: model "m" answered with a body of "image/png", which only HTTP can carry; send the request over HTTP',
    );
  });
});
