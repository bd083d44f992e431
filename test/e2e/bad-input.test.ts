import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { modelDir } from '../support/vectors.ts';

let server: ServerProcess;
beforeAll(async () => {
  const args = [`--model_dir=${modelDir('digits-mlp')}`, '--model_name=digits', '--max_body_bytes=1MiB', '--max_json_depth=20'];
  // From Node 24 on, the space for young objects grows under load to 100 MB and more, while what lives stays the same: here only the latter counts.
  server = await startServerProcess(args, { nodeArgs: ['--max-semi-space-size=4'] });
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const PIXELS = `[${Array.from({ length: 64 }, () => '0.5').join(',')}]`;
const input = (fields: string): string => `{"inputs":[{${fields}}]}`;
const GOOD = input(`"name":"input","datatype":"FP32","shape":[1,64],"data":${PIXELS}`);
const withData = (data: string): string => input(`"name":"input","datatype":"FP32","shape":[1,64],"data":${data}`);

async function post(
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  path = '/v2/models/digits/infer',
): Promise<{ status: number; error: string }> {
  const reply = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const text = await reply.text();
  return { status: reply.status, error: reply.ok ? '' : (JSON.parse(text) as { error: string }).error };
}

/** Name, body, status, what the message must name. */
const JSON_CASES: readonly (readonly [string, string, number, RegExp])[] = [
  ['nothing', '', 400, /./],
  ['no JSON', 'hello', 400, /parse/i],
  ['a truncated document', GOOD.slice(0, -3), 400, /./],
  ['bytes after the document', `${GOOD}x`, 400, /./],
  ['an array at the top', '[]', 400, /object/i],
  ['null at the top', 'null', 400, /object/i],
  ['no inputs', '{}', 400, /inputs/],
  ['inputs that are no array', '{"inputs":{}}', 400, /inputs/],
  ['an input that is no object', '{"inputs":[1]}', 400, /inputs/],
  ['an input without name', input(`"datatype":"FP32","shape":[1,64],"data":${PIXELS}`), 400, /name/],
  ['an input without shape', input(`"name":"input","datatype":"FP32","data":${PIXELS}`), 400, /shape/],
  ['an input without datatype', input(`"name":"input","shape":[1,64],"data":${PIXELS}`), 400, /datatype/],
  ['an input without data', input('"name":"input","datatype":"FP32","shape":[1,64]'), 400, /data/],
  ['a shape of text', input(`"name":"input","datatype":"FP32","shape":["1",64],"data":${PIXELS}`), 400, /shape/],
  ['a fractional dimension', input(`"name":"input","datatype":"FP32","shape":[1.5,64],"data":${PIXELS}`), 400, /shape/],
  ['a name that is a number', input(`"name":7,"datatype":"FP32","shape":[1,64],"data":${PIXELS}`), 400, /name/],
  ['data of text for floats', withData('["a"]'), 400, /"input"/],
  ['data with an object inside', withData('[{"a":1}]'), 400, /"input"/],
  ['ragged nesting', withData('[[1,2],[3]]'), 400, /"input"/],
  ['a bare NaN', withData('[NaN]'), 400, /./],
  ['a float32 overflow', withData(`[1e39${',0'.repeat(63)}]`), 400, /"input".*1e\+39/],
  ['an exponent without end', withData(`[1e999999999${',0'.repeat(63)}]`), 400, /"input"/],
  ['a leading zero', withData('[01]'), 400, /./],
  ['a number with a plus', withData('[+1]'), 400, /./],
  ['an unfinished escape', '{"id":"\\u12"}', 400, /./],
  ['a control character in text', '{"id":"a\u0001b"}', 400, /./],
  ['parameters that are an array', '{"parameters":[],"inputs":[]}', 400, /parameters/],
  ['a parameter that is an object', '{"parameters":{"a":{}},"inputs":[]}', 400, /parameter.*"?a"?/],
  ['a parameter that is null', '{"parameters":{"a":null},"inputs":[]}', 400, /parameter/],
  ['duplicate keys', `{"inputs":[],"inputs":[]}`, 400, /inputs/],
  ['nesting beyond the limit', `{"extra":${'['.repeat(5000)}${']'.repeat(5000)},"inputs":[]}`, 400, /deep|depth|nest/i],
  ['nesting without end', `{"extra":${'['.repeat(200000)}`, 400, /deep|depth|nest/i],
  ['outputs that are text', '{"inputs":[],"outputs":"label"}', 400, /outputs/],
  ['__proto__ as a key', `{"__proto__":{"polluted":1},"inputs":[{"name":"nope","datatype":"FP32","shape":[1],"data":[1]}]}`, 400, /"nope"/],
];

describe('a bad JSON body', () => {
  it.each(JSON_CASES)('%s is refused and the next request works', async (_name, body, status, message) => {
    const refused = await post(body);
    expect(refused.status).toBe(status);
    expect(refused.error).toMatch(message);
    expect((await post(GOOD)).status).toBe(200);
  });

  it('never pollutes prototypes', () => {
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('a bad binary body', () => {
  const head = (size: number | string): string =>
    input(`"name":"input","datatype":"FP32","shape":[1,64],"parameters":{"binary_data_size":${String(size)}}`);
  const binary = (size: number | string, tail: number): [Uint8Array, number] => [
    Buffer.concat([Buffer.from(head(size)), Buffer.alloc(tail)]),
    head(size).length,
  ];
  it.each<[string, Uint8Array, string, RegExp]>([
    ['a header longer than the body', binary(256, 256)[0], '99999', /[Hh]eader/],
    ['a negative header length', binary(256, 256)[0], '-1', /[Hh]eader/],
    ['a header length of text', binary(256, 256)[0], 'ten', /[Hh]eader/],
    ['a header length beyond 2^53', binary(256, 256)[0], '99999999999999999999', /[Hh]eader/],
    ['a tail that is too short', binary(256, 255)[0], String(binary(256, 255)[1]), /256|"input"/],
    ['a tail that is too long', binary(256, 300)[0], String(binary(256, 300)[1]), /300|44|"input"/],
    ['a size that is not the shape', binary(128, 128)[0], String(binary(128, 128)[1]), /"input".*256.*128/],
    ['a size of text', binary('"256"', 256)[0], String(binary('"256"', 256)[1]), /binary_data_size/],
    ['a negative size', binary(-256, 256)[0], String(binary(-256, 256)[1]), /binary_data_size/],
  ])('%s is refused', async (_name, body, length, message) => {
    const refused = await post(body, { 'content-type': 'application/octet-stream', 'inference-header-content-length': length });
    expect(refused.status).toBe(400);
    expect(refused.error).toMatch(message);
  });

  it('bytes without a header length are refused with the name of the header', async () => {
    const refused = await post(Buffer.alloc(16, 0xff), { 'content-type': 'application/octet-stream' });
    expect(refused.status).toBe(400);
    expect(refused.error.toLowerCase()).toContain('inference-header-content-length');
  });
});

describe('a body that is too much', () => {
  it('is 413 by its length, at once', async () => {
    expect((await post(Buffer.alloc(2 ** 20 + 1, 32))).status).toBe(413);
  });

  it('is 413 when it inflates beyond the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20, 32));
    expect(bomb.length).toBeLessThan(2 ** 20);
    expect((await post(bomb, { 'content-encoding': 'gzip' })).status).toBe(413);
  });

  it('is 400 when it does not inflate, 415 in an unknown encoding or media type', async () => {
    expect((await post('no gzip', { 'content-encoding': 'gzip' })).status).toBe(400);
    expect((await post(GOOD, { 'content-encoding': 'br2' })).status).toBe(415);
    expect((await post(GOOD, { 'content-type': 'image/png' })).status).toBe(415);
    expect((await post(GOOD, { 'content-type': 'application/json; charset=utf-16' })).status).toBe(415);
  });
});

describe('paths and methods', () => {
  it.each([
    ['GET', '/nowhere', 404, '{"detail":"Not Found"}'],
    ['DELETE', '/v2/models/digits', 405, '{"detail":"Method Not Allowed"}'],
    ['GET', '/v2/models/nobody', 404, '{"error":"Model with name nobody does not exist."}'],
    ['GET', '/v2/models/%2e%2e%2fetc', 404, '{"error":"Model with name ../etc does not exist."}'],
    ['GET', '/v1/models/nobody', 404, '{"error":"Model with name nobody does not exist."}'],
    ['GET', '/v1/models/digits', 200, '{"name":"digits","ready":true}'],
    ['GET', '/v2/health/live', 200, '{"live":true}'],
    ['GET', '/v2/health/ready', 200, '{"ready":true}'],
    ['GET', '/v2/models', 200, '{"models":["digits"]}'],
    ['GET', '/v1/models', 200, '{"models":["digits"]}'],
    ['GET', '/v2/models/digits/ready', 200, '{"name":"digits","ready":true}'],
    ['GET', '/v2/models/digits/versions/1/ready', 200, '{"name":"digits","ready":true}'],
    ['GET', '/', 200, '{"status":"alive"}'],
  ])('%s %s answers %i', async (method, path, status, body) => {
    const reply = await fetch(server.url + path, { method });
    expect([reply.status, await reply.text()]).toEqual([status, body]);
  });

  it('refuse a percent sign that encodes nothing with 400', async () => {
    expect((await fetch(`${server.url}/v2/models/%zz`)).status).toBe(400);
  });
});

describe('memory', () => {
  it('stays flat over thousands of refused requests', async () => {
    const rss = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(server.pid)}/status`, 'utf8'))?.[1]);
    const storm = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => post(JSON_CASES[(i + k) % JSON_CASES.length]![1])));
    };
    await storm(2000);
    const before = rss();
    await storm(6000);
    expect(rss() / before).toBeLessThan(1.25);
  });
});
