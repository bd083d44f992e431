import type { ErrorReason } from '../core/errors.ts';

/**
 * What went wrong, the same over REST and gRPC. Beside the server's own reasons (README "Errors"):
 * - `unavailable`: nothing answers at the address, the connection broke, or the server said 502, 503 or UNAVAILABLE;
 * - `invalid_response`: the answer is not one of the Open Inference Protocol, or not the one that was asked for.
 *
 * The server keeps apart more reasons than its answers can tell: all of its internal faults arrive as `internal`.
 */
export type InferenceErrorReason =
  | Exclude<
      ErrorReason,
      'model_failed' | 'handler_failed' | 'model_not_ready' | 'server_not_ready' | 'executor_lost' | 'upstream_failed' | 'unsupported_media_type'
    >
  | 'unavailable'
  | 'invalid_response';

export interface InferenceErrorOptions {
  readonly status?: number | undefined;
  readonly grpcCode?: string | undefined;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** The only error that the client's promises reject with. `cause` holds what is behind it: a socket's error, the AbortSignal's reason. */
export class InferenceError extends Error {
  override readonly name = 'InferenceError';
  readonly reason: InferenceErrorReason;
  /** HTTP status of the answer; undefined over gRPC and when there was no answer. */
  readonly status: number | undefined;
  /** Name of the gRPC status, e.g. `NOT_FOUND`; undefined over REST and when the client itself refused or gave up. */
  readonly grpcCode: string | undefined;
  /** The same call may succeed later. The client has already tried again as often as its options allow. */
  readonly retryable: boolean;
  /** How long the server asked to wait before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: InferenceErrorReason, message: string, options: InferenceErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.reason = reason;
    this.status = options.status;
    this.grpcCode = options.grpcCode;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The client's own refusal of what the caller gave. */
export function invalidCall(message: string, cause?: unknown): InferenceError {
  return new InferenceError('invalid_request', message, cause === undefined ? {} : { cause });
}

export function invalidResponse(message: string, options: InferenceErrorOptions = {}): InferenceError {
  return new InferenceError('invalid_response', message, options);
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
