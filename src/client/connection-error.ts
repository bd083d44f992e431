import { InferenceError } from './inference-error.ts';

/** Failures of the network that pass; others, such as a certificate that is not trusted, stay as they are. */
const PASSING: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** What a socket failed with, told of the server at `host`. */
export function connectionError(error: Error, host: string): InferenceError {
  const code = errorCode(error);
  // Several addresses of one name: an AggregateError without words of its own.
  const message = error.message === '' ? code : error.message;
  return new InferenceError('unavailable', `Cannot reach ${host}: ${message}`, { retryable: PASSING.has(code), cause: error });
}

export function errorCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
