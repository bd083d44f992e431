import { ServingError, type ErrorReason } from '../../core/errors.ts';
import type { InferenceError, InferenceErrorReason } from '../../client/index.ts';

/** Whom a failure is told of. */
export interface Peer {
  /** As in --predictor_host. */
  readonly host: string;
  readonly modelName: string;
  readonly maxResponseBytes: number;
  /** Time that the call had. */
  readonly timeoutMs: number;
}

/** What the predictor said keeps its status; what it could not have meant for the client (405, its own cancellation) is nonsense. */
const REASONS: Readonly<Record<InferenceErrorReason, ErrorReason>> = {
  invalid_request: 'invalid_request',
  unauthenticated: 'unauthenticated',
  permission_denied: 'permission_denied',
  model_not_found: 'model_not_found',
  payload_too_large: 'payload_too_large',
  method_not_allowed: 'upstream_failed',
  request_timeout: 'deadline_exceeded',
  headers_too_large: 'headers_too_large',
  conflict: 'conflict',
  overloaded: 'overloaded',
  cancelled: 'upstream_failed',
  internal: 'model_failed',
  unimplemented: 'unimplemented',
  unavailable: 'model_not_ready',
  invalid_response: 'upstream_failed',
  deadline_exceeded: 'deadline_exceeded',
};

/** The client's error as one of the table. The predictor's words are kept; the host is named where they would not tell who speaks. */
export function toRemoteError(error: InferenceError, peer: Peer): ServingError {
  const { host, modelName } = peer;
  const hasAnswer = error.status !== undefined || error.grpcCode !== undefined;
  const make = (reason: ErrorReason, message: string): ServingError =>
    new ServingError(reason, message, { cause: error, details: { predictor: host, status: error.status ?? error.grpcCode } });

  if (isOwnLimit(error)) {
    return make(
      'upstream_failed',
      `Cannot read the answer of predictor ${host}: expected at most ${peer.maxResponseBytes} bytes (--predictor_max_response_bytes)`,
    );
  }
  if (error.reason === 'deadline_exceeded' && error.status === undefined) {
    return make('deadline_exceeded', `Predictor ${host} did not answer within ${Math.round(peer.timeoutMs)} ms`);
  }
  if (isUnreached(error)) return make('model_not_ready', `Cannot reach predictor ${host}: ${error.message.replace(/^Cannot reach \S+: /, '')}`);
  if (error.status === 502) return make('upstream_failed', `Cannot reach predictor ${host}: ${error.message}`);
  const reason = isNonsense(error) ? 'upstream_failed' : error.status === 415 ? 'unsupported_media_type' : REASONS[error.reason];
  const isPlain = hasAnswer && reason !== 'upstream_failed' && !error.message.startsWith('The server answered ') && !isMissingPath(error, modelName);
  return make(reason, isPlain ? error.message : `Predictor ${host}: ${error.message}`);
}

/** The reader's own refusal of a large answer. */
function isOwnLimit(error: InferenceError): boolean {
  return error.reason === 'payload_too_large' && error.status === undefined && error.grpcCode === undefined;
}

/** A 404 that does not speak of the model: nothing serves that path or method. */
function isMissingPath(error: InferenceError, modelName: string): boolean {
  return (error.reason === 'model_not_found' || error.reason === 'unimplemented') && !error.message.includes(modelName);
}

function isUnreached({ reason, status, grpcCode, message }: InferenceError): boolean {
  if (reason !== 'unavailable' || status !== undefined) return false;
  return grpcCode === undefined || /^(Stream refused|Received HTTP status code)/.test(message);
}

/** Something answers, but it speaks no gRPC. */
function isNonsense({ grpcCode, message }: InferenceError): boolean {
  return grpcCode !== undefined && /^Received (RST_STREAM|HTTP status code)/.test(message);
}
