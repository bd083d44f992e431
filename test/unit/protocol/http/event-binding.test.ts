import { CloudEvent, HTTP } from 'cloudevents';
import { beforeEach, describe, expect, test } from 'vitest';
import { eventModeOf, type EventOptions } from '../../../../src/protocol/http/index.ts';
import { createV1Routes } from '../../../../src/protocol/v1-rest/index.ts';
import { createV2Routes } from '../../../../src/protocol/v2-rest/index.ts';
import { callRoute, failure, type FakeReply, type FakeRequest } from './fake-call.ts';
import { createFakeDataplane, EVENTS, type FakeDataplane } from './fake-dataplane.ts';

const PREDICT = 'POST /v1/models/echo:predict';
const BINARY = { 'ce-specversion': '1.0', 'ce-id': 'in-1', 'ce-source': '/client', 'ce-type': 'ask' };
const STRUCTURED = { 'content-type': 'application/cloudevents+json' };
const ENVELOPE = { specversion: '1.0', id: 'in-1', source: '/client', type: 'ask' };
const ROWS = { instances: [[1, 2]] };
const PNG = Buffer.from([0x89, 0x50, 0, 0xff]);
/** Older than any answer. */
const TIME = '2020-01-28T21:24:43.144141+00:00';

let dataplane: FakeDataplane;

beforeEach(() => {
  dataplane = createFakeDataplane();
});

function call(line: string, request: FakeRequest, options: Partial<EventOptions> = {}): Promise<FakeReply> {
  const deps = { dataplane, maxJsonDepth: 20, events: { ...EVENTS, ...options } };
  return callRoute([...createV1Routes(deps), ...createV2Routes(deps)], line, request);
}

/** The answer as the SDK reads it, which is its own judge of what an event is. */
function eventOf(reply: FakeReply): CloudEvent {
  const event = HTTP.toEvent({ headers: reply.headers, body: reply.bytes.toString() }) as CloudEvent;
  expect(event.validate()).toBe(true);
  return event;
}

describe('the mode of a request', () => {
  test.each<[Record<string, string>, string | undefined]>([
    [{}, undefined],
    [{ 'content-type': 'application/json' }, undefined],
    [{ 'ce-id': '1', 'ce-type': 't' }, undefined],
    [{ 'ce-specversion': '1.0' }, 'binary'],
    [{ 'content-type': 'application/cloudevents+json' }, 'structured'],
    [{ 'content-type': 'Application/CloudEvents+JSON; charset=utf-8', 'ce-specversion': '1.0' }, 'structured'],
    [{ 'content-type': 'application/cloudevents-batch+json' }, undefined],
  ])('with %j is %s', (headers, mode) => {
    expect(eventModeOf({ headers })).toBe(mode);
  });
});

describe('an event in binary mode', () => {
  test('is answered by one, with its own id and time', async () => {
    const headers = { ...BINARY, 'ce-time': TIME, 'content-type': 'application/json' };
    const reply = await call(PREDICT, { headers, body: JSON.stringify(ROWS) });
    expect(reply.bytes.toString()).toBe('{"predictions":[[1,2]]}');
    expect(reply.headers['content-type']).toBe('application/json');
    const event = eventOf(reply);
    expect(event).toMatchObject({ specversion: '1.0', type: 'io.kserve.inference.response', source: 'io.kserve.inference.echo' });
    expect(event.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(Date.parse(event.time ?? '')).toBeGreaterThan(Date.parse(TIME));
    expect(dataplane.calls[0]?.request.inputs[0]?.shape).toEqual([1, 2]);
  });

  test('without a Content-Type, or with it among its attributes as KServe clients send it, is JSON', async () => {
    for (const headers of [BINARY, { ...BINARY, 'ce-content-type': 'application/json' }, { ...BINARY, 'ce-datacontenttype': 'application/json' }])
      expect((await call(PREDICT, { headers, body: JSON.stringify(ROWS) })).json).toEqual({ predictions: [[1, 2]] });
  });

  test('carries a body that the handler accepts, both ways', async () => {
    dataplane.capabilities = { accepts: ['application/avro'], explains: false };
    dataplane.answer = { outputs: [], body: { contentType: 'image/png', bytes: PNG }, headers: { 'x-a': 'b' } };
    const reply = await call(PREDICT, { headers: { ...BINARY, 'ce-content-type': 'application/avro' }, body: '\x00avro' });
    expect(dataplane.calls[0]?.request.body).toEqual({ contentType: 'application/avro', bytes: new Uint8Array(Buffer.from('\x00avro')) });
    expect(reply).toMatchObject({ headers: { 'content-type': 'image/png', 'x-a': 'b', 'ce-type': 'io.kserve.inference.response' }, bytes: PNG });
  });

  test('answers explanations too', async () => {
    dataplane.capabilities = { accepts: [], explains: true };
    const reply = await call('POST /v1/models/echo:explain', { headers: BINARY, body: JSON.stringify(ROWS) });
    expect(eventOf(reply).data).toEqual({ explanations: [[1, 2]] });
  });

  test('has its type and source from the options, its other attributes only when merged', async () => {
    const headers = { ...BINARY, 'ce-subject': 'caf%C3%A9', 'ce-custom-extension': 'mine', 'ce-time': TIME, 'content-type': 'application/json' };
    const request = { headers, body: JSON.stringify(ROWS) };
    const plain = await call(PREDICT, request, { ceType: 'my.type', ceSource: '/my/source' });
    expect(plain.headers).toMatchObject({ 'ce-type': 'my.type', 'ce-source': '/my/source' });
    expect(plain.headers).not.toHaveProperty('ce-custom-extension');
    const merged = await call(PREDICT, request, { ceMerge: true });
    expect(merged.headers).toMatchObject({
      'ce-type': 'io.kserve.inference.response',
      'ce-source': 'io.kserve.inference.echo',
      'ce-subject': 'caf%C3%A9',
      'ce-custom-extension': 'mine',
    });
    expect(merged.headers['ce-id']).not.toBe('in-1');
    expect(merged.headers['ce-time']).not.toBe(TIME);
  });

  test.each<[string, Record<string, string>, string]>([
    ['an empty type', { 'ce-type': '' }, 'Cloud Event Exceptions: expected attribute "type", got none'],
    ['an empty id', { 'ce-id': '' }, 'Cloud Event Exceptions: expected attribute "id", got none'],
    ['another version', { 'ce-specversion': '0.3' }, 'Cloud Event Exceptions: expected attribute "specversion" to be 1.0, got "0.3"'],
    ['a time that is none', { 'ce-time': 'noon' }, 'Cloud Event Exceptions: attribute "time" must match format "date-time", got "noon"'],
    ['a source that is none', { 'ce-source': '\\ {}' }, 'Cloud Event Exceptions: attribute "source" must match format "uri-reference"'],
    ['a schema that is none', { 'ce-dataschema': 'x y' }, 'Cloud Event Exceptions: attribute "dataschema" must match format "uri", got "x y"'],
    [
      'a broken percent sign',
      { 'ce-subject': '100%' },
      'Cloud Event Exceptions: expected attribute "subject" to be percent-encoded UTF-8, got "100%"',
    ],
    ['a name that is none', { 'ce-a_b': 'c' }, 'Cloud Event Exceptions: expected lower-case letters and digits as names of attributes, got "a_b"'],
  ])('with %s is refused before its body is read', async (_, headers, message) => {
    const failed = await failure(call(PREDICT, { headers: { ...BINARY, ...headers }, isBodyForbidden: true }));
    expect(failed.reason).toBe('invalid_request');
    expect(failed.message).toContain(message);
  });

  test('with only its version is refused, naming what it lacks first', async () => {
    const failed = await failure(call(PREDICT, { headers: { 'ce-specversion': '1.0' }, isBodyForbidden: true }));
    expect(failed.message).toBe('Cloud Event Exceptions: expected attribute "id", got none');
  });

  test.each([
    ['{', 'Failed to decode or parse binary json cloudevent: Cannot parse event data'],
    ['\xff', 'Failed to decode or parse binary json cloudevent: Cannot parse event data'],
    ['{"rows":1}', 'expected a field "instances" or "inputs"'],
  ])('with %j as JSON is refused', async (body, message) => {
    const failed = await failure(call(PREDICT, { headers: BINARY, body: Buffer.from(body, 'latin1') }));
    expect(failed.reason).toBe('invalid_request');
    expect(failed.message).toContain(message);
  });

  test('around what no handler accepts is refused before its body is read', async () => {
    const headers = { ...BINARY, 'content-type': 'image/png' };
    expect((await failure(call(PREDICT, { headers, isBodyForbidden: true }))).reason).toBe('unsupported_media_type');
  });

  test('for an unknown model says so', async () => {
    const request = { headers: STRUCTURED, isBodyForbidden: true };
    expect((await failure(call('POST /v1/models/none:predict', request))).reason).toBe('model_not_found');
  });
});

describe('an event in structured mode', () => {
  test('is answered by one', async () => {
    const reply = await call(PREDICT, { headers: STRUCTURED, body: JSON.stringify({ ...ENVELOPE, time: TIME, data: ROWS }) });
    expect(reply.headers['content-type']).toBe('application/cloudevents+json');
    const event = eventOf(reply);
    expect(event).toMatchObject({ type: 'io.kserve.inference.response', source: 'io.kserve.inference.echo', data: { predictions: [[1, 2]] } });
    expect(event.id).not.toBe('in-1');
  });

  test('needs no time', async () => {
    const reply = await call(PREDICT, { headers: STRUCTURED, body: JSON.stringify({ ...ENVELOPE, data: ROWS }) });
    expect(eventOf(reply).data).toEqual({ predictions: [[1, 2]] });
  });

  test('made by the SDK is understood', async () => {
    const { headers, body } = HTTP.structured(new CloudEvent({ ...ENVELOPE, data: ROWS }));
    expect(eventOf(await call(PREDICT, { headers: headers as Record<string, string>, body: body as string })).data).toEqual({
      predictions: [[1, 2]],
    });
  });

  test('carries bytes that the handler accepts, both ways', async () => {
    dataplane.capabilities = { accepts: ['image/*'], explains: false };
    dataplane.answer = { outputs: [], body: { contentType: 'image/png', bytes: PNG } };
    const event = { ...ENVELOPE, datacontenttype: 'image/gif', data_base64: 'R0lG' };
    const reply = await call(PREDICT, { headers: STRUCTURED, body: JSON.stringify(event) });
    expect(dataplane.calls[0]?.request.body).toEqual({ contentType: 'image/gif', bytes: new Uint8Array(Buffer.from('GIF')) });
    expect(reply.json).toMatchObject({ datacontenttype: 'image/png', data_base64: PNG.toString('base64') });
  });

  test('has its other attributes only when merged', async () => {
    const event = {
      ...ENVELOPE,
      subject: 's',
      'custom-extension': 'mine',
      count: 3,
      datacontenttype: 'application/json',
      schemaurl: '/x',
      data: ROWS,
    };
    const request = { headers: STRUCTURED, body: JSON.stringify(event) };
    expect(Object.keys((await call(PREDICT, request)).json as object).sort()).toEqual(['data', 'id', 'source', 'specversion', 'time', 'type']);
    expect((await call(PREDICT, request, { ceMerge: true })).json).toMatchObject({ subject: 's', 'custom-extension': 'mine', count: 3 });
  });

  test.each<[string, object, string]>([
    ['no type', { type: undefined }, 'Cloud Event Exceptions: expected attribute "type", got none'],
    ['an id that is no text', { id: 5 }, 'Cloud Event Exceptions: attribute "id" must be string, got 5'],
    ['a time that is none', { time: 'noon' }, 'Cloud Event Exceptions: attribute "time" must match format "date-time", got "noon"'],
    ['no data', { data: undefined }, 'expected "data" or "data_base64", got neither'],
    ['other data than rows', { data: [] }, 'expected an object, got a list'],
  ])('with %s is refused', async (_, member, message) => {
    const failed = await failure(call(PREDICT, { headers: STRUCTURED, body: JSON.stringify({ ...ENVELOPE, data: ROWS, ...member }) }));
    expect(failed.reason).toBe('invalid_request');
    expect(failed.message).toContain(message);
  });
});

describe('v2', () => {
  const INFER = 'POST /v2/models/echo/infer';
  const TENSORS = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] });

  test('answers tensors in a binary event without one', async () => {
    dataplane.capabilities = { accepts: ['image/*'], explains: false };
    const reply = await call(INFER, { headers: { ...BINARY, 'content-type': 'application/json' }, body: TENSORS });
    expect(Object.keys(reply.headers)).toEqual(['content-type']);
    expect(reply.json).toMatchObject({ model_name: 'echo' });
  });

  test.each(['infer', 'explain', 'versions/2/infer'])('%s answers a handler body in an event with one', async (path) => {
    dataplane.capabilities = { accepts: ['image/*'], explains: true };
    dataplane.answer = { outputs: [], body: { contentType: 'text/plain', bytes: Buffer.from('cat') } };
    const reply = await call(`POST /v2/models/echo/${path}`, { headers: { ...BINARY, 'content-type': 'image/png' }, body: PNG });
    expect(reply).toMatchObject({ headers: { 'content-type': 'text/plain', 'ce-source': 'io.kserve.inference.echo' }, bytes: Buffer.from('cat') });
    const event = { ...ENVELOPE, datacontenttype: 'image/png', data_base64: 'AA==' };
    const structured = await call(`POST /v2/models/echo/${path}`, { headers: STRUCTURED, body: JSON.stringify(event) });
    expect(structured.json).toMatchObject({ datacontenttype: 'text/plain', data_base64: Buffer.from('cat').toString('base64') });
  });

  test('refuses structured events for models without a handler', async () => {
    expect((await failure(call(INFER, { headers: STRUCTURED, isBodyForbidden: true }))).reason).toBe('unsupported_media_type');
  });
});
