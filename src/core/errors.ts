/** Why a request or a start-up failed. The one table below maps each to HTTP and gRPC; nothing else does. */
export type ErrorReason =
  | 'invalid_request'
  | 'unauthenticated'
  | 'permission_denied'
  | 'model_not_found'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'headers_too_large'
  | 'conflict'
  | 'overloaded'
  | 'cancelled'
  | 'model_failed'
  | 'handler_failed'
  | 'internal'
  | 'unimplemented'
  | 'upstream_failed'
  | 'model_not_ready'
  | 'server_not_ready'
  | 'executor_lost'
  | 'deadline_exceeded';

export interface ErrorMapping {
  readonly http: number;
  /** Name of the gRPC status code; absent where only HTTP can fail this way. */
  readonly grpc?:
    | 'INVALID_ARGUMENT'
    | 'UNAUTHENTICATED'
    | 'PERMISSION_DENIED'
    | 'NOT_FOUND'
    | 'RESOURCE_EXHAUSTED'
    | 'ABORTED'
    | 'CANCELLED'
    | 'INTERNAL'
    | 'UNIMPLEMENTED'
    | 'UNAVAILABLE'
    | 'DEADLINE_EXCEEDED';
  /** The same request may succeed later: HTTP answers carry Retry-After. */
  readonly retryable?: true;
}

export const ERROR_TABLE: Readonly<Record<ErrorReason, ErrorMapping>> = {
  invalid_request: { http: 400, grpc: 'INVALID_ARGUMENT' },
  unauthenticated: { http: 401, grpc: 'UNAUTHENTICATED' },
  permission_denied: { http: 403, grpc: 'PERMISSION_DENIED' },
  model_not_found: { http: 404, grpc: 'NOT_FOUND' },
  payload_too_large: { http: 413, grpc: 'RESOURCE_EXHAUSTED' },
  unsupported_media_type: { http: 415, grpc: 'INVALID_ARGUMENT' },
  method_not_allowed: { http: 405 },
  request_timeout: { http: 408 },
  headers_too_large: { http: 431 },
  conflict: { http: 409, grpc: 'ABORTED' },
  overloaded: { http: 429, grpc: 'RESOURCE_EXHAUSTED', retryable: true },
  cancelled: { http: 499, grpc: 'CANCELLED' },
  model_failed: { http: 500, grpc: 'INTERNAL' },
  handler_failed: { http: 500, grpc: 'INTERNAL' },
  internal: { http: 500, grpc: 'INTERNAL' },
  unimplemented: { http: 501, grpc: 'UNIMPLEMENTED' },
  upstream_failed: { http: 502, grpc: 'UNAVAILABLE' },
  model_not_ready: { http: 503, grpc: 'UNAVAILABLE', retryable: true },
  server_not_ready: { http: 503, grpc: 'UNAVAILABLE', retryable: true },
  executor_lost: { http: 503, grpc: 'UNAVAILABLE', retryable: true },
  deadline_exceeded: { http: 504, grpc: 'DEADLINE_EXCEEDED' },
};

const BRAND = Symbol.for('kserve-node.ServingError');

/** The one error type that crosses stages. `message` goes to the client; `cause` and the stack never do. */
export class ServingError extends Error {
  override readonly name = 'ServingError';
  readonly reason: ErrorReason;
  /** Facts for logs, never sent to clients. */
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly [BRAND] = true;

  constructor(
    reason: ErrorReason,
    message: string,
    options: { readonly details?: Readonly<Record<string, unknown>>; readonly cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.reason = reason;
    this.details = options.details;
  }
}

/** Recognised by brand, because a user's module may load a second copy of this package. */
export function isServingError(value: unknown): value is ServingError {
  return typeof value === 'object' && value !== null && (value as Record<PropertyKey, unknown>)[BRAND] === true;
}

/** Turns whatever was thrown into a ServingError; used at the three walls only (child to parent, handler to pipeline, stage to protocol). */
export function toServingError(thrown: unknown, reason: ErrorReason = 'internal', message = 'Internal server error'): ServingError {
  return isServingError(thrown) ? thrown : new ServingError(reason, message, { cause: thrown });
}

export function invalidRequest(message: string): ServingError {
  return new ServingError('invalid_request', message);
}

/** KServe's own words, which its clients and tests look for. */
export function modelNotFound(name: string, version?: string): ServingError {
  return new ServingError(
    'model_not_found',
    version === undefined ? `Model with name ${name} does not exist.` : `Model with name ${name} and version ${version} does not exist.`,
  );
}

export function modelNotReady(name: string): ServingError {
  return new ServingError('model_not_ready', `Model with name ${name} is not ready.`);
}

/** Faults of the server are errors, logged with their stack; times of overload are warnings; faults of clients are only for who looks for them. */
export function severityOf({ reason }: ServingError): 'error' | 'warn' | 'debug' {
  const { http } = ERROR_TABLE[reason];
  if (http === 500 || http === 502 || reason === 'executor_lost') return 'error';
  return http === 503 || http === 504 ? 'warn' : 'debug';
}
