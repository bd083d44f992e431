import { encodeStatusMessage, statusCode, type StatusName } from '../../codec/index.ts';
import { ERROR_TABLE, type ServingError } from '../../core/errors.ts';
import type { ResponseHeaders } from '../http2/index.ts';

/** Retry-After of the HTTP protocols, in gRPC's words. */
const RETRY_PUSHBACK_MS = 1000;

/** Messages travel percent-encoded in a header; clients take 8 KiB of headers at least. */
const MAX_DETAILS_LENGTH = 1000;

export function statusOf(error: ServingError): StatusName {
  return ERROR_TABLE[error.reason].grpc ?? 'INTERNAL';
}

/**
 * What the client sees of an error: the code of core's table and the message, never a cause. RESOURCE_EXHAUSTED by overload tells when to try again;
 * by size it does not, because trying again is useless then.
 */
export function errorTrailers(error: ServingError): ResponseHeaders {
  return {
    'grpc-status': statusCode(statusOf(error)),
    'grpc-message': encodeStatusMessage(shorten(error.message)),
    ...(error.reason === 'overloaded' && { 'grpc-retry-pushback-ms': RETRY_PUSHBACK_MS }),
  };
}

function shorten(message: string): string {
  return message.length > MAX_DETAILS_LENGTH ? `${message.slice(0, MAX_DETAILS_LENGTH)}…` : message;
}
