import { ERROR_TABLE, isServingError, severityOf, type ServingError } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';

/** Logs why a request failed; called once, where the error becomes a reply. */
export function logError({ method, route, log }: Pick<HttpCall, 'method' | 'log'> & { readonly route: string }, error: ServingError): void {
  const status = ERROR_TABLE[error.reason].http;
  const fields = { method, route, status, reason: error.reason, details: error.details };
  const severity = severityOf(error);
  log[severity](severity === 'error' ? { ...fields, err: rootOf(error) } : fields, error.message);
}

/** What was really thrown: the wrapper's own stack says nothing. */
function rootOf(error: ServingError): unknown {
  return error.reason === 'internal' && error.cause !== undefined && !isServingError(error.cause) ? error.cause : error;
}
