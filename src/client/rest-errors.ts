import { InferenceError, invalidResponse, type InferenceErrorReason } from './inference-error.ts';
import type { RestReply } from './rest-call.ts';

const REASONS: Readonly<Record<number, InferenceErrorReason>> = {
  400: 'invalid_request',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'model_not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  409: 'conflict',
  413: 'payload_too_large',
  415: 'invalid_request',
  422: 'invalid_request',
  429: 'overloaded',
  431: 'headers_too_large',
  499: 'cancelled',
  500: 'internal',
  501: 'unimplemented',
  502: 'unavailable',
  503: 'unavailable',
  504: 'deadline_exceeded',
};

const RETRYABLE: ReadonlySet<number> = new Set([429, 503]);

/** Longest text of a foreign error page that goes into a message. */
const MAX_TEXT = 300;

/** The error that a reply other than 200 stands for. */
export function errorFromReply(reply: RestReply): InferenceError {
  const { status } = reply;
  const text = Buffer.from(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.byteLength).toString('utf8');
  const message = errorText(text) ?? (text.trim() === '' ? `The server answered ${status} without a word` : text.trim().slice(0, MAX_TEXT));
  const reason = REASONS[status] ?? (status >= 500 ? 'internal' : status >= 400 ? 'invalid_request' : 'invalid_response');
  const retryable = RETRYABLE.has(status);
  return new InferenceError(reason, message, {
    status,
    retryable,
    retryAfterMs: retryable ? parseRetryAfter(reply.headers['retry-after']) : undefined,
  });
}

/** Throws invalid_response. */
export function parseJson(reply: RestReply): unknown {
  const text = Buffer.from(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.byteLength).toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (thrown) {
    throw invalidResponse(`Cannot read the response: expected JSON, got "${text.slice(0, 60)}"`, { status: reply.status, cause: thrown });
  }
}

/** `{"error": "…"}` of the Open Inference Protocol, `{"detail": …}` of KServe's framework. */
function errorText(text: string): string | undefined {
  if (!text.startsWith('{')) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof body !== 'object' || body === null) return undefined;
  if ('error' in body && typeof body.error === 'string') return body.error;
  if ('detail' in body) return typeof body.detail === 'string' ? body.detail : JSON.stringify(body.detail).slice(0, MAX_TEXT);
  return undefined;
}

/** Seconds, or a date (RFC 9110 section 10.2.3), as milliseconds from now; undefined for anything else. */
export function parseRetryAfter(value: string | undefined, now: number = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
