import { beforeEach, describe, expect, test } from 'vitest';
import { createV2Routes } from '../../../../src/protocol/v2-rest/index.ts';
import { callRoute, failure, type FakeReply, type FakeRequest } from '../http/fake-call.ts';
import { createFakeDataplane, EVENTS, type FakeDataplane } from '../http/fake-dataplane.ts';

let dataplane: FakeDataplane;

beforeEach(() => {
  dataplane = createFakeDataplane();
});

function call(line: string, request?: FakeRequest): Promise<FakeReply> {
  return callRoute(createV2Routes({ dataplane, maxJsonDepth: 20, events: EVENTS }), line, request);
}

const TENSOR = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [[1.5, 2]] };
const BODY = JSON.stringify({ id: 'r1', inputs: [TENSOR] });
const METADATA = {
  platform: 'test_echo',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  properties: { opset: '13' },
};

describe('metadata and health', () => {
  test.each([
    ['GET /', { status: 'alive' }],
    ['GET /v2', { name: 'kserve-node', version: '1.2.3', extensions: ['model_repository'] }],
    ['GET /v2/', { name: 'kserve-node', version: '1.2.3', extensions: ['model_repository'] }],
    ['GET /v2/health/live', { live: true }],
    ['GET /v2/health/ready', { ready: true }],
    ['GET /v2/models', { models: ['echo', 'loading'] }],
    ['GET /v2/models/echo', { name: 'echo', versions: ['1', '2'], ...METADATA }],
    ['GET /v2/models/echo/versions/1', { name: 'echo', versions: ['1'], ...METADATA }],
    ['GET /v2/models/echo/ready', { name: 'echo', ready: true }],
    ['GET /v2/models/echo/versions/2/ready', { name: 'echo', ready: true }],
  ])('%s answers with JSON', async (line, json) => {
    const reply = await call(line);
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' }, hasReadBody: false });
    expect(reply.json).toEqual(json);
  });

  test.each([
    ['GET /v2/models/stats', 'echo', '2'],
    ['GET /v2/models/echo/stats', 'echo', '2'],
    ['GET /v2/models/echo/versions/1/stats', 'echo', '1'],
  ])('%s answers with the statistics of Triton', async (line, name, version) => {
    const reply = await call(line);
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual({
      model_stats: [
        {
          name,
          version,
          last_inference: 1_690_000_000_000,
          inference_count: 10,
          execution_count: 4,
          inference_stats: {
            success: { count: 101, ns: 1_000_101 },
            fail: { count: 102, ns: 1_000_102 },
            queue: { count: 103, ns: 1_000_103 },
            compute_input: { count: 104, ns: 1_000_104 },
            compute_infer: { count: 105, ns: 1_000_105 },
            compute_output: { count: 106, ns: 1_000_106 },
            cache_hit: { count: 107, ns: 1_000_107 },
            cache_miss: { count: 108, ns: 1_000_108 },
          },
          batch_stats: [
            {
              batch_size: 3,
              compute_input: { count: 109, ns: 1_000_109 },
              compute_infer: { count: 110, ns: 1_000_110 },
              compute_output: { count: 111, ns: 1_000_111 },
            },
          ],
          memory_usage: [],
          response_stats: {},
        },
      ],
    });
  });

  test('a server that is not ready says so in KServe words', async () => {
    dataplane.isServerReady = false;
    expect(await failure(call('GET /v2/health/ready'))).toEqual({ reason: 'server_not_ready', message: 'Server is not ready.' });
    expect((await call('GET /v2/health/live')).status).toBe(200);
  });

  test.each([
    ['GET /v2/models/none', 'model_not_found', 'Model with name none does not exist.'],
    ['GET /v2/models/none/ready', 'model_not_found', 'Model with name none does not exist.'],
    ['GET /v2/models/echo/versions/7', 'model_not_found', 'Model with name echo and version 7 does not exist.'],
    ['GET /v2/models/loading', 'model_not_ready', 'Model with name loading is not ready.'],
    ['GET /v2/models/loading/ready', 'model_not_ready', 'Model with name loading is not ready.'],
    ['GET /v2/models/..', 'model_not_found', 'Model with name .. does not exist.'],
    ['GET /v2/models/a%2Fb', 'model_not_found', 'Model with name a/b does not exist.'],
    ['GET /v2/models/__proto__', 'model_not_found', 'Model with name __proto__ does not exist.'],
    ['GET /v2/models/a%00b', 'invalid_request', 'Cannot read model name: expected text without NUL, got one'],
    [`GET /v2/models/${'x'.repeat(256)}`, 'invalid_request', 'Cannot read model name: expected at most 255 characters, got 256'],
    [`GET /v2/models/echo/versions/${'1'.repeat(256)}`, 'invalid_request', 'Cannot read model version: expected at most 255 characters, got 256'],
  ])('%s fails with %s', async (line, reason, message) => {
    expect(await failure(call(line))).toEqual({ reason, message });
  });
});

describe('infer', () => {
  test.each([['POST /v2/models/echo/infer'], ['POST /v2/models/echo/versions/2/infer']])('%s answers with the outputs and the id', async (line) => {
    const reply = await call(line, { body: BODY, headers: { 'content-type': 'application/json; charset=UTF-8' } });
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(reply.json).toMatchObject({
      model_name: 'echo',
      model_version: '2',
      id: 'r1',
      outputs: [{ name: 'y', shape: [1, 2], datatype: 'FP32', data: [1.5, 2] }],
    });
  });

  test('the version of the path, and only that, is in the request', async () => {
    await call('POST /v2/models/echo/infer', { body: BODY });
    await call('POST /v2/models/echo/versions/1/infer', { body: BODY });
    expect(dataplane.calls.map(({ request }) => request.modelVersion)).toEqual([undefined, '1']);
  });

  test('raw tensors come in and go out behind the JSON', async () => {
    const json = JSON.stringify({
      inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', parameters: { binary_data_size: 8 } }],
      parameters: { binary_data_output: true },
    });
    const raw = Buffer.from(new Float32Array([1.5, 2]).buffer);
    const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) };
    const reply = await call('POST /v2/models/echo/infer', { body: Buffer.concat([Buffer.from(json), raw]), headers });
    const length = Number(reply.headers['inference-header-content-length']);
    expect(reply.headers['content-type']).toBe('application/octet-stream');
    expect(JSON.parse(reply.bytes.subarray(0, length).toString())).toMatchObject({ outputs: [{ name: 'y', parameters: { binary_data_size: 8 } }] });
    expect(reply.bytes.subarray(length)).toEqual(raw);
  });

  test('a large body is decoded and encoded in slices with the same result', async () => {
    const data = Array.from({ length: 40_000 }, (_, i) => i);
    const body = JSON.stringify({ inputs: [{ name: 'x', shape: [20_000, 2], datatype: 'FP32', data }] });
    const reply = await call('POST /v2/models/echo/infer', { body });
    expect((reply.json as { outputs: { data: number[] }[] }).outputs[0]?.data).toEqual(data);
  });

  test('a client that leaves stops the decoding of a large body', async () => {
    const body = JSON.stringify({ inputs: [{ ...TENSOR, shape: [500_000, 2], data: Array.from({ length: 1_000_000 }, () => 1.25) }] });
    const controller = new AbortController();
    const reply = call('POST /v2/models/echo/infer', { body, signal: controller.signal });
    const reason = new Error('left');
    controller.abort(reason);
    await expect(reply).rejects.toBe(reason);
    expect(dataplane.calls).toEqual([]);
  });

  test.each<[Record<string, string>, number]>([
    [{}, Infinity],
    [{ 'x-request-timeout-ms': '250' }, 1250],
    [{ 'x-request-timeout-ms': '0.5' }, 1000.5],
    [{ 'x-envoy-expected-rq-timeout-ms': '40' }, 1040],
    [{ 'x-envoy-expected-rq-timeout-ms': 'nonsense' }, Infinity],
    [{ 'x-request-timeout-ms': '250', 'x-envoy-expected-rq-timeout-ms': '100' }, 1100],
    [{ 'x-request-timeout-ms': '50', 'x-envoy-expected-rq-timeout-ms': '100' }, 1050],
  ])('with %j the deadline is %d', async (headers, deadline) => {
    await call('POST /v2/models/echo/infer', { body: BODY, headers });
    expect(dataplane.calls[0]?.ctx).toMatchObject({ id: 'call-1', protocol: 'v2-rest', deadline, headers });
  });

  test.each<[string, Record<string, string>, string, string]>([
    ['/v2/models/none/infer', {}, 'model_not_found', 'Model with name none does not exist.'],
    ['/v2/models/loading/infer', {}, 'model_not_ready', 'Model with name loading is not ready.'],
    [
      '/v2/models/echo/infer',
      { 'content-type': 'text/plain' },
      'unsupported_media_type',
      'expected Content-Type application/json or application/octet-stream',
    ],
    ['/v2/models/echo/infer', { 'content-type': 'application/json; charset=latin1' }, 'unsupported_media_type', 'expected charset utf-8'],
    ['/v2/models/echo/infer', { 'content-type': 'application/octet-stream' }, 'invalid_request', 'expected header Inference-Header-Content-Length'],
    ['/v2/models/echo/infer', { 'inference-header-content-length': '-1' }, 'invalid_request', 'Inference-Header-Content-Length'],
    ['/v2/models/echo/infer', { 'inference-header-content-length': '9'.repeat(30) }, 'invalid_request', 'Inference-Header-Content-Length'],
    ['/v2/models/echo/infer', { 'x-request-timeout-ms': '-5' }, 'invalid_request', 'expected a positive number of milliseconds, got "-5"'],
    ['/v2/models/echo/infer', { 'x-request-timeout-ms': '0' }, 'invalid_request', 'expected a positive number of milliseconds, got "0"'],
  ])('%s with %j is refused before the body is read', async (path, headers, reason, message) => {
    const failed = await failure(call(`POST ${path}`, { headers, isBodyForbidden: true }));
    expect(failed.reason).toBe(reason);
    expect(failed.message).toContain(message);
    expect(dataplane.calls).toEqual([]);
  });

  test.each([['{'], ['[]'], ['{"inputs":{}}'], ['{}'], ['{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1,2]}]}'], ['['.repeat(50)]])(
    'the body %s is refused',
    async (body) => {
      expect((await failure(call('POST /v2/models/echo/infer', { body }))).reason).toBe('invalid_request');
    },
  );
});

describe('repository', () => {
  test.each([
    ['', 2],
    ['{}', 2],
    ['{"ready":false}', 2],
    ['{"ready":true}', 1],
  ])('index with body %j lists %i models', async (body, count) => {
    const reply = await call('POST /v2/repository/index', { body });
    expect(reply.json).toHaveLength(count);
    expect(reply.json).toContainEqual({ name: 'echo', version: '2', state: 'READY', reason: '' });
  });

  test.each([
    ['load', '', { name: 'echo', load: true }],
    ['load', '{"parameters":{}}', { name: 'echo', load: true }],
    ['unload', '', { name: 'echo', unload: true }],
    ['unload', '{"parameters":{"unload_dependents":true}}', { name: 'echo', unload: true }],
  ])('%s with body %j is done', async (verb, body, json) => {
    expect((await call(`POST /v2/repository/models/echo/${verb}`, { body })).json).toEqual(json);
    expect(dataplane.repositoryCalls).toEqual([`${verb} echo`]);
  });

  test.each([
    ['models/echo/load', '{"parameters":{"config":"{}"}}', 'unimplemented', 'Cannot load with parameter "config"'],
    ['models/echo/load', '{"parameters":{"file:1/model.onnx":"AA=="}}', 'unimplemented', 'Cannot load with parameter "file:1/model.onnx"'],
    ['models/echo/load', '{"parameters":{"other":1}}', 'invalid_request', 'expected none, got "other"'],
    ['models/echo/load', '{"parameters":{"__proto__":1}}', 'invalid_request', 'expected none, got "__proto__"'],
    ['models/echo/load', '{"parameters":[]}', 'invalid_request', 'Cannot read field "parameters": expected a JSON object, got array'],
    [
      'models/echo/unload',
      '{"parameters":{"unload_dependents":1}}',
      'invalid_request',
      'Cannot read field "unload_dependents": expected a boolean, got number',
    ],
    ['models/echo/unload', '{"parameters":{"config":"{}"}}', 'invalid_request', 'expected "unload_dependents", got "config"'],
    ['index', '{"ready":"yes"}', 'invalid_request', 'Cannot read field "ready": expected a boolean, got string'],
    ['index', 'null', 'invalid_request', 'Cannot read the body: expected a JSON object, got null'],
    ['index', '{', 'invalid_request', 'Cannot read the body: expected JSON'],
    ['index', '\xff', 'invalid_request', 'Cannot read the body: expected JSON'],
    ['index', ' '.repeat(65_537), 'payload_too_large', 'expected at most 65536 bytes for a repository call, got 65537'],
  ])('%s with body %.50j fails with %s', async (path, body, reason, message) => {
    const failed = await failure(call(`POST /v2/repository/${path}`, { body: Buffer.from(body, 'latin1') }));
    expect(failed.reason).toBe(reason);
    expect(failed.message).toContain(message);
    expect(dataplane.repositoryCalls).toEqual([]);
  });

  test('what the repository refuses is passed on', async () => {
    expect((await failure(call('POST /v2/repository/models/busy/load'))).reason).toBe('conflict');
    expect((await failure(call('POST /v2/repository/models/none/unload'))).message).toBe('Model with name none does not exist.');
  });
});
