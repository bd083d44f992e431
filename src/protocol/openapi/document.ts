import { ERROR_TABLE, type ErrorReason } from '../../core/errors.ts';
import type { HttpReply } from '../../core/http.ts';
import { pathTemplate, type BodyDoc, type DocumentedRoute, type HeaderDoc, type JsonSchema, type RouteDoc } from '../http/index.ts';

export interface OpenApiOptions {
  readonly title: string;
  readonly version: string;
  readonly routes: readonly DocumentedRoute[];
  /** By the names that the routes' documentation uses; `Error` among them. */
  readonly schemas: Readonly<Record<string, JsonSchema>>;
}

/** GET /openapi.json: the OpenAPI 3.1 document of the routes given and of this one. Made once, on first use. */
export function createOpenApiRoute(options: OpenApiOptions): DocumentedRoute {
  let reply: HttpReply | undefined;
  const route: DocumentedRoute = {
    method: 'GET',
    path: '/openapi.json',
    handle() {
      reply ??= {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(describeRoutes({ ...options, routes: [...options.routes, route] })),
      };
      return reply;
    },
    doc: {
      operationId: 'openApi',
      summary: 'This document',
      tag: 'server',
      success: { description: 'OpenAPI 3.1', bodies: [{ contentType: 'application/json' }] },
      errors: [],
    },
  };
  return route;
}

/** The document as a plain object. Throws when two routes share an operation id or a schema is missing. */
export function describeRoutes({ title, version, routes, schemas }: OpenApiOptions): object {
  const paths: Record<string, Record<string, object>> = {};
  const ids = new Set<string>();
  for (const route of routes) {
    const { operationId } = route.doc;
    if (ids.has(operationId)) throw new Error(`Cannot describe routes: operation id ${operationId} is used twice`);
    ids.add(operationId);
    const item = (paths[pathTemplate(route.path)] ??= {});
    item[route.method.toLowerCase()] = operation(route, schemas);
  }
  return { openapi: '3.1.0', info: { title, version }, paths, components: { schemas } };
}

function operation({ path, doc }: DocumentedRoute, schemas: OpenApiOptions['schemas']): object {
  const parameters = [...pathParameters(path), ...(doc.headers ?? []).map(headerParameter)];
  return {
    operationId: doc.operationId,
    summary: doc.summary,
    tags: [doc.tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(doc.request === undefined ? {} : { requestBody: { required: doc.request.isRequired, content: content(doc.request.bodies, schemas) } }),
    responses: { '200': success(doc, schemas), ...failures(doc.errors, schemas) },
  };
}

function pathParameters(path: string): object[] {
  return [...pathTemplate(path).matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
}

function headerParameter({ name, description, schema }: HeaderDoc): object {
  return { name, in: 'header', description, required: false, schema };
}

function success(doc: RouteDoc, schemas: OpenApiOptions['schemas']): object {
  const headers = Object.fromEntries((doc.success.headers ?? []).map(({ name, description, schema }) => [name, { description, schema }]));
  return { description: doc.success.description, content: content(doc.success.bodies, schemas), ...(doc.success.headers && { headers }) };
}

function content(bodies: readonly BodyDoc[], schemas: OpenApiOptions['schemas']): object {
  return Object.fromEntries(
    bodies.map(({ contentType, schema, description }): [string, object] => {
      if (schema === undefined) return [contentType, description === undefined ? {} : { schema: { description } }];
      if (!Object.hasOwn(schemas, schema)) throw new Error(`Cannot describe routes: there is no schema ${schema}`);
      return [contentType, { schema: { $ref: `#/components/schemas/${schema}` } }];
    }),
  );
}

/** What may go wrong before any route is reached, or in a way that nobody foresaw. */
const ADAPTER_ERRORS: readonly ErrorReason[] = ['invalid_request', 'request_timeout', 'headers_too_large', 'internal'];

/** One entry per status, naming all reasons that lead to it. */
function failures(errors: readonly ErrorReason[], schemas: OpenApiOptions['schemas']): Record<string, object> {
  const reasons = new Map<number, Set<ErrorReason>>();
  for (const reason of [...errors, ...ADAPTER_ERRORS]) {
    const { http } = ERROR_TABLE[reason];
    reasons.set(http, (reasons.get(http) ?? new Set()).add(reason));
  }
  const body = content([{ contentType: 'application/json', schema: 'Error' }], schemas);
  return Object.fromEntries([...reasons].map(([status, names]) => [String(status), { description: [...names].join(', '), content: body }]));
}
