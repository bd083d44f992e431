import { ServingError } from '../core/errors.ts';

/** What a handler may blame the client for; each is an HTTP status of the 4xx (README "Errors"). */
export type ClientFault =
  'invalid_request' | 'unauthenticated' | 'permission_denied' | 'payload_too_large' | 'unsupported_media_type' | 'conflict' | 'overloaded';

/**
 * The request is at fault, not the handler: thrown in a handler, its message goes to the client with status 400, or that of `reason`.
 *
 *     throw new InvalidRequest('Cannot read the image: expected 28 x 28 pixels, got 32 x 32')
 */
export class InvalidRequest extends ServingError {
  constructor(message: string, options: { readonly reason?: ClientFault; readonly cause?: unknown } = {}) {
    super(options.reason ?? 'invalid_request', message, 'cause' in options ? { cause: options.cause } : {});
  }
}
