import type { Hop } from './predictor.ts';

/**
 * Headers of the request that go along to the predictor, because they speak of the whole journey and not of one connection:
 * who asks, and where the request belongs in a trace. KServe's own transformer sends x-request-id, x-b3-traceid and authorization only.
 */
const FORWARDED: ReadonlySet<string> = new Set([
  'authorization',
  // W3C Trace Context and Baggage.
  'traceparent',
  'tracestate',
  'baggage',
  // Zipkin's one-header form, and what Envoy adds to it for Lightstep.
  'b3',
  'x-ot-span-context',
]);

/**
 * Zipkin's several headers, as Istio sends them; KServe's own. CloudEvents attributes (`ce-`) are not among them: the hop is a plain request, and a predictor that saw them would
 * answer with an event.
 */
const FORWARDED_PREFIXES = ['x-b3-', 'kserve-'] as const;

/** Headers of an answer that speak of the connection it came over (RFC 9110 section 7.6.1), or that every server sets for itself. */
const KEPT_BACK: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'accept-encoding',
  'alt-svc',
  'date',
  'inference-header-content-length',
  'server',
  'set-cookie',
  'strict-transport-security',
  'user-agent',
  'via',
  'x-powered-by',
  'x-request-id',
]);

/** `content-*` speaks of a body that is encoded anew, `grpc-*` and `x-envoy-*` of the hop. */
const KEPT_BACK_PREFIXES = ['content-', 'grpc-', 'x-envoy-'] as const;

/** What is sent along with the hop. The id is always there, so that both ends log the same one. */
export function forwardedHeaders({ id, headers }: Pick<Hop, 'id' | 'headers'>): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && (FORWARDED.has(name) || FORWARDED_PREFIXES.some((prefix) => name.startsWith(prefix)))) sent[name] = value;
  }
  sent['x-request-id'] = id;
  return sent;
}

/** What both HTTP and gRPC can carry on as text. */
const CARRIED = /^[\t\x20-\x7e]*$/;

/** What of the predictor's headers goes on to the client. */
export function answeredHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  // Names that the connection header lists are of the hop, too.
  const named = (headers['connection'] ?? '').toLowerCase().split(/\s*,\s*/);
  for (const [name, value] of Object.entries(headers)) {
    if (KEPT_BACK.has(name) || named.includes(name) || KEPT_BACK_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    if (!name.endsWith('-bin') && CARRIED.test(value)) kept[name] = value;
  }
  return kept;
}
