import { beforeEach, describe, expect, test } from 'vitest';
import { createV1Routes } from '../../../../src/protocol/v1-rest/index.ts';
import { callRoute, failure, type FakeReply, type FakeRequest } from '../http/fake-call.ts';
import { createFakeDataplane, EVENTS, type FakeDataplane } from '../http/fake-dataplane.ts';

let dataplane: FakeDataplane;

beforeEach(() => {
  dataplane = createFakeDataplane();
});

function call(line: string, request?: FakeRequest): Promise<FakeReply> {
  return callRoute(createV1Routes({ dataplane, maxJsonDepth: 20, events: EVENTS }), line, request);
}

describe('v1', () => {
  test.each([
    ['GET /v1/models', { models: ['echo', 'loading'] }],
    ['GET /v1/models/echo', { name: 'echo', ready: true }],
  ])('%s answers', async (line, json) => {
    const reply = await call(line);
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual(json);
  });

  test.each<[Record<string, string>]>([
    [{}],
    [{ 'content-type': 'application/json' }],
    [{ 'content-type': 'Application/JSON; charset="utf-8"; q=1' }],
    [{ 'content-type': 'application/ld+json' }],
    [{ 'content-type': 'application/octet-stream' }],
  ])('predict with headers %j answers with compact JSON', async (headers) => {
    const reply = await call('POST /v1/models/echo:predict', { body: '{"instances":[[1,2],[3,4]]}', headers });
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(reply.bytes.toString()).toBe('{"predictions":[[1,2],[3,4]]}');
    expect(dataplane.calls[0]?.ctx).toMatchObject({ protocol: 'v1-rest', deadline: Infinity });
  });

  test('predict takes the deadline from the header', async () => {
    await call('POST /v1/models/echo:predict', { body: '{"instances":[[1,2]]}', headers: { 'x-request-timeout-ms': '10' } });
    expect(dataplane.calls[0]?.ctx.deadline).toBe(1010);
  });

  test.each([
    ['GET /v1/models/none', '', 'model_not_found', 'Model with name none does not exist.'],
    ['GET /v1/models/loading', '', 'model_not_ready', 'Model with name loading is not ready.'],
    ['POST /v1/models/none:predict', '', 'model_not_found', 'Model with name none does not exist.'],
    ['POST /v1/models/loading:predict', '', 'model_not_ready', 'Model with name loading is not ready.'],
    ['POST /v1/models/none:explain', '', 'model_not_found', 'Model with name none does not exist.'],
    ['POST /v1/models/loading:explain', '', 'model_not_ready', 'Model with name loading is not ready.'],
    ['POST /v1/models/echo:explain', '{"instances":[]}', 'unimplemented', 'Could not find explainer_host.'],
    ['POST /v1/models/echo:predict', '{"instances":1}', 'invalid_request', ''],
    ['POST /v1/models/echo:predict', '{}', 'invalid_request', ''],
    ['POST /v1/models/echo:predict', '', 'invalid_request', ''],
    [`POST /v1/models/${'x'.repeat(256)}:predict`, '', 'invalid_request', 'Cannot read model name'],
  ])('%s with body %j fails with %s', async (line, body, reason, message) => {
    const failed = await failure(call(line, { body }));
    expect(failed.reason).toBe(reason);
    expect(failed.message).toContain(message);
  });

  test('predict refuses other media types before the body is read', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await failure(call('POST /v1/models/echo:predict', { headers, isBodyForbidden: true }))).reason).toBe('unsupported_media_type');
  });
});
