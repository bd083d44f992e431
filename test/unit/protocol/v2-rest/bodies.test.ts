import { beforeEach, describe, expect, test } from 'vitest';
import { createV2Routes } from '../../../../src/protocol/v2-rest/index.ts';
import { callRoute, failure, type FakeReply, type FakeRequest } from '../http/fake-call.ts';
import { createFakeDataplane, EVENTS, type FakeDataplane } from '../http/fake-dataplane.ts';

const PNG = new Uint8Array([0x89, 0x50, 0, 0xff]);
const TENSOR = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1.5, 2] };
const BODY = JSON.stringify({ inputs: [TENSOR] });
const RAW = Buffer.from(Float32Array.of(1.5, 2).buffer);

let dataplane: FakeDataplane;

beforeEach(() => {
  dataplane = createFakeDataplane();
  dataplane.capabilities = { accepts: ['image/*'], explains: true };
});

function call(line: string, request?: FakeRequest): Promise<FakeReply> {
  return callRoute(createV2Routes({ dataplane, maxJsonDepth: 20, events: EVENTS }), line, request);
}

describe.each([
  ['infer', 'infer', undefined],
  ['versions/1/infer', 'infer', '1'],
  ['explain', 'explain', undefined],
  ['versions/1/explain', 'explain', '1'],
])('%s', (path, verb, version) => {
  const line = `POST /v2/models/echo/${path}`;

  test('gives a body that the handler accepts to it as it is', async () => {
    dataplane.answer = { outputs: [{ name: 'label', datatype: 'INT32', shape: [1], data: Int32Array.of(7) }] };
    const reply = await call(line, { headers: { 'content-type': 'image/png', 'x-request-timeout-ms': '10' }, body: PNG });
    const { request, ...rest } = dataplane.calls[0]!;
    expect(rest).toMatchObject({ verb, ctx: { protocol: 'v2-rest', deadline: 1010 } });
    expect(request).toEqual({
      modelName: 'echo',
      ...(version === undefined ? {} : { modelVersion: version }),
      inputs: [],
      body: { contentType: 'image/png', bytes: PNG },
    });
    expect(reply.json).toMatchObject({ model_name: 'echo', outputs: [{ name: 'label', data: [7] }] });
  });

  test('answers tensors with tensors, as JSON or in binary form', async () => {
    expect((await call(line, { body: BODY })).json).toMatchObject({ outputs: [{ name: 'y', data: [1.5, 2] }] });
    const json = JSON.stringify({
      inputs: [{ ...TENSOR, data: undefined, parameters: { binary_data_size: 8 } }],
      parameters: { binary_data_output: true },
    });
    const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) };
    dataplane.answer = { headers: { 'x-a': 'b' } };
    const reply = await call(line, { headers, body: Buffer.concat([Buffer.from(json), RAW]) });
    const length = Number(reply.headers['inference-header-content-length']);
    expect(reply.headers).toMatchObject({ 'content-type': 'application/octet-stream', 'x-a': 'b' });
    expect(reply.bytes.subarray(length)).toEqual(RAW);
    expect(dataplane.calls.map((made) => made.verb)).toEqual([verb, verb]);
  });

  test('answers with the body and the headers of the handler', async () => {
    dataplane.answer = { outputs: [], body: { contentType: 'image/png', bytes: PNG }, headers: { 'x-a': 'b', 'transfer-encoding': 'chunked' } };
    const reply = await call(line, { body: BODY });
    expect(reply.headers).toEqual({ 'x-a': 'b', 'content-type': 'image/png' });
    expect([...reply.bytes]).toEqual([...PNG]);
  });

  test('takes JSON and raw tensors for tensors whatever stars the handler accepts', async () => {
    dataplane.capabilities = { accepts: ['*/*'], explains: true };
    await call(line, { body: BODY });
    const json = JSON.stringify({ inputs: [{ ...TENSOR, data: undefined, parameters: { binary_data_size: 8 } }] });
    const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) };
    await call(line, { headers, body: Buffer.concat([Buffer.from(json), RAW]) });
    expect(dataplane.calls.map(({ request }) => [request.inputs.length, request.body])).toEqual([
      [1, undefined],
      [1, undefined],
    ]);
    await call(line, { headers: { 'content-type': 'application/octet-stream' }, body: RAW });
    expect(dataplane.calls[2]?.request.body?.contentType).toBe('application/octet-stream');
  });

  test('of JSON is tensors even when a handler accepts JSON: that is for v1', async () => {
    dataplane.capabilities = { accepts: ['application/json'], explains: true };
    await call(line, { body: BODY });
    expect(dataplane.calls.map(({ request }) => [request.inputs.length, request.body])).toEqual([[1, undefined]]);
  });

  test('of JSON to a model of unknown signature is tensors: v2 says what the numbers are', async () => {
    dataplane.signature = { isOpen: true, inputs: [], outputs: [] };
    await call(line, { body: BODY });
    expect(dataplane.calls[0]?.request.inputs).toHaveLength(1);
  });

  test('refuses what nobody accepts before the body is read', async () => {
    const failed = await failure(call(line, { headers: { 'content-type': 'text/csv' }, isBodyForbidden: true }));
    expect(failed.reason).toBe('unsupported_media_type');
  });
});

test('an explanation in binary form is asked for by the request as a whole: requested outputs are the model’s', async () => {
  const json = { inputs: [TENSOR], outputs: [{ name: 'y', parameters: { binary_data: false } }], parameters: { binary_data_output: true } };
  const reply = await call('POST /v2/models/echo/explain', { body: JSON.stringify(json) });
  expect(reply.headers['content-type']).toBe('application/octet-stream');
  expect(reply.bytes.subarray(-8)).toEqual(RAW);
});

test('explain without anything that explains is refused before the body is read', async () => {
  dataplane.capabilities = { accepts: [], explains: false };
  expect(await failure(call('POST /v2/models/echo/explain', { isBodyForbidden: true }))).toEqual({
    reason: 'unimplemented',
    message: 'Could not find explainer_host.',
  });
});
