import type { Protocol, RequestContext } from '../../core/context.ts';
import { invalidRequest } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';
import type { HeaderDoc } from './route-doc.ts';

const OWN_HEADER = 'x-request-timeout-ms';
/** Envoy tells how long it will wait; Istio's sidecars send it on every request with a timeout. */
const ENVOY_HEADER = 'x-envoy-expected-rq-timeout-ms';
/** A year: beyond it timers overflow, and nobody means it. */
const MAX_TIMEOUT_MS = 365 * 24 * 3600 * 1000;

/** For the documentation of routes that use `contextOf`. */
export const TIMEOUT_HEADERS: readonly HeaderDoc[] = [
  {
    name: 'X-Request-Timeout-Ms',
    description: 'Longest time in milliseconds that the answer is of use; the least of all timeouts counts',
    schema: { type: 'number', exclusiveMinimum: 0, maximum: MAX_TIMEOUT_MS },
  },
];

/** What travels with a request beyond the route. Throws invalid_request when the client's timeout header is not a positive number. */
export function contextOf(call: HttpCall, protocol: Protocol): RequestContext {
  return { id: call.id, protocol, signal: call.signal, deadline: call.receivedAt + timeoutOf(call.headers), headers: call.headers };
}

/** The lesser of the two headers, in milliseconds; Infinity without them. */
function timeoutOf(headers: HttpCall['headers']): number {
  const own = headers[OWN_HEADER];
  const envoy = headers[ENVOY_HEADER];
  if (own === undefined && envoy === undefined) return Infinity;
  const ownMs = own === undefined ? Infinity : parseMilliseconds(own);
  if (ownMs === undefined) {
    throw invalidRequest(`Cannot read header ${OWN_HEADER}: expected a positive number of milliseconds, got "${(own ?? '').slice(0, 64)}"`);
  }
  // A proxy's header is not the client's fault: one that makes no sense is ignored.
  return Math.min(ownMs, parseMilliseconds(envoy ?? '') ?? Infinity);
}

function parseMilliseconds(text: string): number | undefined {
  if (!/^\d{1,15}(\.\d{1,9})?$/.test(text)) return undefined;
  const ms = Number(text);
  return ms > 0 ? Math.min(ms, MAX_TIMEOUT_MS) : undefined;
}
