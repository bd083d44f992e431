import { isServingError, ServingError } from '../core/errors.ts';

/** A fault that may pass: the same read is worth another try. `message` says what happened, without URI and verb. */
export class TransientFailure extends Error {
  override readonly name = 'TransientFailure';
  /** As the store asked for; milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The URI as people may see it: without credentials and signatures, which stand before `@` and in the query. */
export function showUri(uri: string): string {
  return uri.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1').replace(/[?#].*$/s, '');
}

export function cannotDownload(
  reason: ConstructorParameters<typeof ServingError>[0],
  uri: string,
  problem: string,
  options: { readonly cause?: unknown } = {},
): ServingError {
  return new ServingError(reason, `Cannot download ${showUri(uri)}: ${problem}`, options);
}

/** What is wrong with what arrived, such as an archive, under the name it came by; anything else as it is. */
export function nameUri(error: unknown, uri: string): unknown {
  if (!isServingError(error) || error.message.startsWith('Cannot download ')) return error;
  const problem = `${error.message.slice(0, 1).toLowerCase()}${error.message.slice(1)}`;
  return cannotDownload(error.reason, uri, problem, { cause: error });
}

const NETWORK_FAULTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ECONNABORTED: 'connection aborted',
  EPIPE: 'connection closed',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'no answer from DNS',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'answer stalled',
};

const TLS_FAULT = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)|ERROR_IN_CERT|CERTIFICATE/;

/** What a fault of sockets, DNS or TLS means, or undefined for other errors. TLS faults do not pass. */
export function networkFailure(error: unknown, host: string): TransientFailure | string | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth++) {
    const code = 'code' in current && typeof current.code === 'string' ? current.code : '';
    if (TLS_FAULT.test(code)) return `${host} has a certificate that is not trusted (${code}), set AWS_CA_BUNDLE or mount a CA bundle`;
    const fault = NETWORK_FAULTS[code];
    if (fault !== undefined) return new TransientFailure(`failed to connect to ${host}: ${fault} (${code})`, { cause: error });
    if (current instanceof AggregateError && current.errors.length > 0) return networkFailure(current.errors[0], host);
    if (/aborted|terminated|socket hang up|other side closed|premature close/i.test(current.message) && current.name !== 'AbortError') {
      return new TransientFailure(`connection to ${host} broke off`, { cause: error });
    }
  }
  return undefined;
}
