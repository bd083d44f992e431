import type { StatusObject } from '@grpc/grpc-js';
import { ERROR_TABLE, type ServingError } from '../../core/errors.ts';
import type { GrpcLibrary } from './library.ts';

/** Retry-After of the HTTP protocols, in gRPC's words. */
const RETRY_PUSHBACK_MS = 1000;

/** Messages travel percent-encoded in a header; clients take 8 KiB of headers at least. */
const MAX_DETAILS_LENGTH = 1000;

/**
 * What the client sees of an error: the code of core's table and the message, never a cause. RESOURCE_EXHAUSTED by overload tells when to try again;
 * by size it does not, because trying again is useless then.
 */
export function statusOf(grpc: GrpcLibrary, error: ServingError): Partial<StatusObject> {
  const code = grpc.status[ERROR_TABLE[error.reason].grpc ?? 'INTERNAL'];
  const details = headerText(error.message);
  if (error.reason !== 'overloaded') return { code, details };
  const metadata = new grpc.Metadata();
  metadata.set('grpc-retry-pushback-ms', String(RETRY_PUSHBACK_MS));
  return { code, details, metadata };
}

/** Lone surrogates, which percent-encoding refuses, become U+FFFD. */
function headerText(message: string): string {
  const text = message.length > MAX_DETAILS_LENGTH ? `${message.slice(0, MAX_DETAILS_LENGTH)}…` : message;
  return Buffer.from(text).toString();
}
