import { ErrorCode, STATUS_NAMES, statusCode, type StatusName } from '../codec/index.ts';
import { InferenceError, type InferenceErrorReason } from './inference-error.ts';

/** How a call ended, as the server says in its trailers. */
export interface GrpcStatus {
  readonly code: number;
  /** In words; may be empty. */
  readonly details: string;
  /** Of trailer grpc-retry-pushback-ms. */
  readonly pushback?: string | undefined;
}

const REASONS: Readonly<Record<StatusName, InferenceErrorReason>> = {
  OK: 'invalid_response',
  CANCELLED: 'cancelled',
  UNKNOWN: 'internal',
  INVALID_ARGUMENT: 'invalid_request',
  DEADLINE_EXCEEDED: 'deadline_exceeded',
  NOT_FOUND: 'model_not_found',
  ALREADY_EXISTS: 'conflict',
  PERMISSION_DENIED: 'permission_denied',
  RESOURCE_EXHAUSTED: 'payload_too_large',
  FAILED_PRECONDITION: 'invalid_request',
  ABORTED: 'conflict',
  OUT_OF_RANGE: 'invalid_request',
  UNIMPLEMENTED: 'unimplemented',
  INTERNAL: 'internal',
  UNAVAILABLE: 'unavailable',
  DATA_LOSS: 'internal',
  UNAUTHENTICATED: 'unauthenticated',
};

/**
 * RESOURCE_EXHAUSTED with a pushback means overload and passes; without one it means a message that is too large and does not. A negative or
 * unreadable pushback asks for no further attempt (gRPC proposal A6).
 */
export function errorFromStatus(status: GrpcStatus): InferenceError {
  const { details, pushback } = status;
  // A server may send a number that has no name.
  const grpcCode = STATUS_NAMES[status.code] ?? 'UNKNOWN';
  const isOverload = grpcCode === 'RESOURCE_EXHAUSTED' && pushback !== undefined;
  const retryAfterMs = pushback !== undefined && /^\d+$/.test(pushback) ? Number(pushback) : undefined;
  const isRefused = pushback !== undefined && retryAfterMs === undefined;
  return new InferenceError(isOverload ? 'overloaded' : REASONS[grpcCode], details === '' ? `The server answered ${grpcCode}` : details, {
    grpcCode,
    retryable: (isOverload || grpcCode === 'UNAVAILABLE') && !isRefused,
    retryAfterMs,
    cause: status,
  });
}

/** As gRPC's protocol maps them (PROTOCOL-HTTP2, "Errors"). */
const RESETS: Readonly<Record<number, readonly [name: StatusName, details: string]>> = {
  [ErrorCode.refusedStream]: ['UNAVAILABLE', 'Stream refused by server'],
  [ErrorCode.cancel]: ['CANCELLED', 'Call cancelled'],
  [ErrorCode.enhanceYourCalm]: ['RESOURCE_EXHAUSTED', 'Bandwidth exhausted or memory limit exceeded'],
  [ErrorCode.inadequateSecurity]: ['PERMISSION_DENIED', 'Protocol not secure enough'],
};

/** What RST_STREAM stands for. */
export function errorFromReset(http2Code: number): InferenceError {
  const [name, details] = RESETS[http2Code] ?? ['INTERNAL', `Received RST_STREAM with code ${http2Code}`];
  return errorFromStatus({ code: statusCode(name), details });
}

const HTTP_STATUSES: Readonly<Record<number, StatusName>> = {
  400: 'INTERNAL',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  429: 'UNAVAILABLE',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
};

/** What an HTTP status stands for when something answers that speaks no gRPC: a proxy, mostly. */
export function errorFromHttpStatus(status: number): InferenceError {
  return errorFromStatus({ code: statusCode(HTTP_STATUSES[status] ?? 'UNKNOWN'), details: `Received HTTP status code ${status}` });
}
