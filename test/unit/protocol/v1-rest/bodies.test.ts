import { beforeEach, describe, expect, test } from 'vitest';
import type { Tensor } from '../../../../src/core/tensor.ts';
import { createV1Routes } from '../../../../src/protocol/v1-rest/index.ts';
import { callRoute, failure, type FakeReply, type FakeRequest } from '../http/fake-call.ts';
import { createFakeDataplane, EVENTS, type FakeDataplane } from '../http/fake-dataplane.ts';

const ROW: Tensor = { name: 'y', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) };
const PNG = new Uint8Array([0x89, 0x50, 0, 0xff]);
const OPEN = { isOpen: true, inputs: [], outputs: [] } as const;

let dataplane: FakeDataplane;

beforeEach(() => {
  dataplane = createFakeDataplane();
});

function call(line: string, request?: FakeRequest): Promise<FakeReply> {
  return callRoute(createV1Routes({ dataplane, maxJsonDepth: 20, events: EVENTS }), line, request);
}

describe.each(['predict', 'explain'] as const)(':%s', (method) => {
  const line = `POST /v1/models/echo:${method}`;
  const verb = method === 'predict' ? 'infer' : 'explain';
  const key = method === 'predict' ? 'predictions' : 'explanations';

  beforeEach(() => {
    dataplane.capabilities = { accepts: ['image/*'], explains: true };
  });

  test('gives a body that the handler accepts to it as it is, and its tensors back as rows', async () => {
    dataplane.answer = { outputs: [ROW] };
    const reply = await call(line, { headers: { 'content-type': 'image/png; v=1' }, body: PNG });
    expect(dataplane.calls).toMatchObject([
      { verb, request: { modelName: 'echo', inputs: [], body: { contentType: 'image/png; v=1', bytes: PNG } } },
    ]);
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(reply.json).toEqual({ [key]: [[1, 2]] });
  });

  test.each([
    ['tensors', {}, '{"instances":[[1,2]]}'],
    ['a body', { 'content-type': 'image/png' }, PNG],
  ])('answers %s with the body and the headers of the handler', async (_, headers, body) => {
    dataplane.answer = { outputs: [], body: { contentType: 'image/png', bytes: PNG }, headers: { 'x-label': 'seven', 'content-length': '1' } };
    const reply = await call(line, { headers, body });
    expect(reply.headers).toEqual({ 'x-label': 'seven', 'content-type': 'image/png' });
    expect([...reply.bytes]).toEqual([...PNG]);
  });

  test('sends the headers of the handler beside its tensors', async () => {
    dataplane.answer = { headers: { 'x-label': 'seven', 'content-type': 'text/plain' } };
    const reply = await call(line, { body: '{"instances":[[1,2]]}' });
    expect(reply.headers).toEqual({ 'x-label': 'seven', 'content-type': 'application/json' });
    expect(reply.json).toEqual({ [key]: [[1, 2]] });
  });

  test('gives JSON unread to a handler that says it takes it', async () => {
    dataplane.capabilities = { accepts: ['application/json'], explains: true };
    dataplane.answer = { outputs: [], body: { contentType: 'application/json', bytes: Buffer.from('{"any":[1]}') } };
    for (const headers of [{}, { 'content-type': 'application/json; charset=utf-8' }] as Record<string, string>[]) {
      const reply = await call(line, { headers, body: '{broken' });
      expect(reply.bytes.toString()).toBe('{"any":[1]}');
    }
    expect(dataplane.calls.map(({ request }) => request.body?.contentType)).toEqual(['application/json', 'application/json; charset=utf-8']);
  });

  test('gives what v1 calls JSON unread to a model of unknown signature', async () => {
    dataplane.signature = OPEN;
    dataplane.answer = { outputs: [ROW] };
    for (const contentType of ['application/json', 'application/ld+json', 'application/octet-stream'])
      expect((await call(line, { headers: { 'content-type': contentType }, body: '{"instances":[[1,2]]}' })).json).toEqual({ [key]: [[1, 2]] });
    expect(dataplane.calls.map(({ request }) => request.body?.contentType)).toEqual(Array(3).fill('application/json'));
  });

  test.each([['text/csv'], ['application/x-www-form-urlencoded'], ['application/json; charset=latin1'], ['nonsense']])(
    'refuses %s that nobody accepts before the body is read',
    async (contentType) => {
      for (const signature of [dataplane.signature, OPEN]) {
        dataplane.signature = signature;
        const failed = await failure(call(line, { headers: { 'content-type': contentType }, isBodyForbidden: true }));
        expect(failed.reason).toBe('unsupported_media_type');
      }
    },
  );

  test.each([
    ['a header that has a line break', { headers: { 'x-a': 'b\r\nset-cookie: c' } }, 'got "x-a: b\\r\\nset-cookie: c"'],
    ['a header whose name is none', { headers: { 'x a': 'b' } }, 'got "x a: b"'],
    ['a media type that is none', { body: { contentType: 'image/\n', bytes: PNG } }, 'got "content-type: image/\\n"'],
  ])('says that the handler answered %s', async (_, answer, message) => {
    dataplane.answer = answer;
    const failed = await failure(call(line, { body: '{"instances":[[1,2]]}' }));
    expect(failed.reason).toBe('handler_failed');
    expect(failed.message).toContain(message);
  });
});

describe(':explain', () => {
  test('takes columns and answers with them', async () => {
    dataplane.capabilities = { accepts: [], explains: true };
    const reply = await call('POST /v1/models/echo:explain', { body: '{"inputs":{"x":[[1,2],[3,4]]}}' });
    expect(reply.json).toEqual({
      explanations: [
        [1, 2],
        [3, 4],
      ],
    });
  });

  test('without anything that explains is refused before the body is read', async () => {
    expect(await failure(call('POST /v1/models/echo:explain', { isBodyForbidden: true }))).toEqual({
      reason: 'unimplemented',
      message: 'Could not find explainer_host.',
    });
  });
});
