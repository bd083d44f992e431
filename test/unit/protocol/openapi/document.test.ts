import { expect, test } from 'vitest';
import { ERROR_TABLE } from '../../../../src/core/errors.ts';
import { createMetricsRoute, type DocumentedRoute } from '../../../../src/protocol/http/index.ts';
import { createOpenApiRoute, describeRoutes } from '../../../../src/protocol/openapi/index.ts';
import { createV1Routes, V1_SCHEMAS } from '../../../../src/protocol/v1-rest/index.ts';
import { createV2Routes, V2_SCHEMAS } from '../../../../src/protocol/v2-rest/index.ts';
import { callRoute } from '../http/fake-call.ts';
import { createFakeDataplane, EVENTS } from '../http/fake-dataplane.ts';

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly required: boolean; readonly content: object };
  readonly responses: Readonly<Record<string, { readonly content: object }>>;
}
interface Document {
  readonly openapi: string;
  readonly info: object;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const deps = { dataplane: createFakeDataplane(), maxJsonDepth: 20, events: EVENTS };
const metrics = createMetricsRoute((accept) => Promise.resolve({ contentType: 'text/plain', body: `accept ${String(accept)}` }));
const routes = [...createV2Routes(deps), ...createV1Routes(deps), metrics];
const options = { title: 'kserve-node', version: '1.2.3', routes, schemas: { ...V2_SCHEMAS, ...V1_SCHEMAS } };

async function fetchDocument(): Promise<Document> {
  return (await callRoute([createOpenApiRoute(options)], 'GET /openapi.json')).json as Document;
}

test('the document lists every route once, itself among them', async () => {
  const { openapi, info, paths } = await fetchDocument();
  expect(openapi).toBe('3.1.0');
  expect(info).toEqual({ title: 'kserve-node', version: '1.2.3' });
  const listed = Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));
  expect(listed.sort()).toEqual([
    'get /',
    'get /metrics',
    'get /openapi.json',
    'get /v1/models',
    'get /v1/models/{model}',
    'get /v2',
    'get /v2/health/live',
    'get /v2/health/ready',
    'get /v2/models',
    'get /v2/models/stats',
    'get /v2/models/{model}',
    'get /v2/models/{model}/ready',
    'get /v2/models/{model}/stats',
    'get /v2/models/{model}/versions/{version}',
    'get /v2/models/{model}/versions/{version}/ready',
    'get /v2/models/{model}/versions/{version}/stats',
    'post /v1/models/{model}:explain',
    'post /v1/models/{model}:predict',
    'post /v2/models/{model}/explain',
    'post /v2/models/{model}/infer',
    'post /v2/models/{model}/versions/{version}/explain',
    'post /v2/models/{model}/versions/{version}/infer',
    'post /v2/repository/index',
    'post /v2/repository/models/{model}/load',
    'post /v2/repository/models/{model}/unload',
  ]);
});

test('every reference leads to a schema, and every schema is used', async () => {
  const document = await fetchDocument();
  const used = new Set([...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name));
  expect([...used].sort()).toEqual(Object.keys(document.components.schemas).sort());
});

test('infer documents its parameters, bodies and every status of its errors', async () => {
  const operation = (await fetchDocument()).paths['/v2/models/{model}/versions/{version}/infer']?.['post'];
  expect(operation?.parameters?.map(({ name, in: place, required }) => [name, place, required])).toEqual([
    ['model', 'path', true],
    ['version', 'path', true],
    ['Inference-Header-Content-Length', 'header', false],
    ['X-Request-Timeout-Ms', 'header', false],
  ]);
  expect(Object.keys(operation?.requestBody?.content ?? {})).toEqual(['application/json', 'application/octet-stream', '*/*']);
  expect(Object.keys(operation?.responses ?? {})).toEqual([
    '200',
    '400',
    '404',
    '408',
    '413',
    '415',
    '429',
    '431',
    '499',
    '500',
    '501',
    '502',
    '503',
    '504',
  ]);
});

test('every status of a documented error is one of the table', async () => {
  const statuses = new Set(Object.values(ERROR_TABLE).map(({ http }) => String(http)));
  for (const item of Object.values((await fetchDocument()).paths)) {
    for (const { responses } of Object.values(item))
      for (const status of Object.keys(responses)) expect(status === '200' || statuses.has(status)).toBe(true);
  }
});

test('two routes with one operation id, or a schema that is missing, cannot be described', () => {
  const [route] = routes as [DocumentedRoute];
  expect(() => describeRoutes({ ...options, routes: [route, route] })).toThrow('operation id infer is used twice');
  expect(() => describeRoutes({ ...options, schemas: V1_SCHEMAS })).toThrow('there is no schema');
});

test('/metrics hands on the Accept header and the content type', async () => {
  const reply = await callRoute([metrics], 'GET /metrics', { headers: { accept: 'application/openmetrics-text' } });
  expect(reply.headers['content-type']).toBe('text/plain');
  expect(reply.bytes.toString()).toBe('accept application/openmetrics-text');
});
