import type { ErrorReason } from '../../core/errors.ts';
import type { HttpRoute } from '../../core/http.ts';

/** A JSON Schema (draft 2020-12), as OpenAPI 3.1 takes it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A body of one media type. `schema` names one of the schemas given to the document; binary bodies have none. */
export interface BodyDoc {
  readonly contentType: string;
  readonly schema?: string;
  readonly description?: string;
}

export interface HeaderDoc {
  readonly name: string;
  readonly description: string;
  readonly schema: JsonSchema;
}

/** What the OpenAPI document says of a route beyond its method and path, from which the path parameters follow. */
export interface RouteDoc {
  /** Unique over all routes. */
  readonly operationId: string;
  readonly summary: string;
  readonly tag: string;
  readonly headers?: readonly HeaderDoc[];
  readonly request?: { readonly isRequired: boolean; readonly bodies: readonly BodyDoc[] };
  readonly success: { readonly description: string; readonly bodies: readonly BodyDoc[]; readonly headers?: readonly HeaderDoc[] };
  /** Every way in which the route may fail, but for those that all share: a broken or slow head, and `internal`. */
  readonly errors: readonly ErrorReason[];
}

/** A route with its documentation beside it: the one source of the OpenAPI document. */
export interface DocumentedRoute extends HttpRoute {
  readonly doc: RouteDoc;
}

/** Ways to fail of every route that reads a body. */
export const BODY_ERRORS: readonly ErrorReason[] = ['invalid_request', 'request_timeout', 'payload_too_large', 'unsupported_media_type'];

/** Ways to fail of every route that runs a model. */
export const MODEL_ERRORS: readonly ErrorReason[] = [
  'model_not_found',
  'overloaded',
  'cancelled',
  'model_failed',
  'handler_failed',
  'unimplemented',
  'upstream_failed',
  'model_not_ready',
  'executor_lost',
  'deadline_exceeded',
];

/** Bodies that only models with a handler take and give. */
export const HANDLER_BODY: BodyDoc = { contentType: '*/*', description: "Whatever the model's handler takes or answers, e.g. an image" };
