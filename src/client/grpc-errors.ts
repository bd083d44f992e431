import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { InferenceError, type InferenceErrorReason } from './inference-error.ts';

/** Names of gRPC's status codes by number. */
const CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

type GrpcCode = (typeof CODES)[number];

const REASONS: Readonly<Record<GrpcCode, InferenceErrorReason>> = {
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

const PUSHBACK = 'grpc-retry-pushback-ms';

/**
 * RESOURCE_EXHAUSTED with a pushback means overload and passes; without one it means a message that is too large and does not. A negative or
 * unreadable pushback asks for no further attempt (gRPC proposal A6).
 */
export function errorFromStatus(status: Pick<ServiceError, 'code' | 'details'> & Partial<Pick<StatusObject, 'metadata'>>): InferenceError {
  // A server may send a number that has no name.
  const grpcCode = (CODES as readonly (GrpcCode | undefined)[])[status.code] ?? 'UNKNOWN';
  const pushback = status.metadata?.get(PUSHBACK)[0]?.toString();
  const isOverload = grpcCode === 'RESOURCE_EXHAUSTED' && pushback !== undefined;
  const retryAfterMs = pushback !== undefined && /^\d+$/.test(pushback) ? Number(pushback) : undefined;
  const isRefused = pushback !== undefined && retryAfterMs === undefined;
  return new InferenceError(
    isOverload ? 'overloaded' : REASONS[grpcCode],
    status.details === '' ? `The server answered ${grpcCode}` : status.details,
    {
      grpcCode,
      retryable: (isOverload || grpcCode === 'UNAVAILABLE') && !isRefused,
      retryAfterMs,
      cause: status,
    },
  );
}
