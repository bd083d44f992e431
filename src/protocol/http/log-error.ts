import { ERROR_TABLE, isServingError, severityOf, type ServingError } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';

/** Names come from clients: they may be of any length. */
const MAX_LOGGED_NAME = 128;

/** Logs why a request failed; called once, where the error becomes a reply. */
export function logError(
  { method, route, params, log }: Pick<HttpCall, 'method' | 'params' | 'log'> & { readonly route: string },
  error: ServingError,
): void {
  const status = ERROR_TABLE[error.reason].http;
  const model = params['model']?.slice(0, MAX_LOGGED_NAME);
  const fields = { method, route, ...(model === undefined ? {} : { model }), status, reason: error.reason, details: error.details };
  const severity = severityOf(error);
  log[severity](severity === 'error' ? { ...fields, err: rootOf(error) } : fields, error.message);
}

/** What was really thrown: the wrapper's own stack says nothing. */
function rootOf(error: ServingError): unknown {
  return error.reason === 'internal' && error.cause !== undefined && !isServingError(error.cause) ? error.cause : error;
}
