import { describe, expect, it } from 'vitest';
import { InferenceError, type InferenceErrorReason } from '../../../../src/client/index.ts';
import { ERROR_TABLE } from '../../../../src/core/errors.ts';
import { toRemoteError, type Peer } from '../../../../src/engine/remote/remote-error.ts';

const PEER: Peer = { host: 'digits-predictor.ns', modelName: 'digits', maxResponseBytes: 1000, timeoutMs: 250 };

describe('toRemoteError', () => {
  it.each<[InferenceErrorReason, number, string]>([
    ['invalid_request', 400, 'Cannot decode input "x"'],
    ['unauthenticated', 401, 'Token missing'],
    ['permission_denied', 403, 'No'],
    ['model_not_found', 404, 'Model with name digits does not exist.'],
    ['conflict', 409, 'Loading'],
    ['payload_too_large', 413, 'Too large'],
    ['overloaded', 429, 'Full'],
    ['internal', 500, 'It broke'],
    ['unavailable', 503, 'Model with name digits is not ready.'],
    ['deadline_exceeded', 504, 'Too slow there'],
  ])('keeps status and words of %s', (reason, status, message) => {
    const error = toRemoteError(new InferenceError(reason, message, { status }), PEER);
    expect(error.message).toBe(message);
    expect(ERROR_TABLE[error.reason].http).toBe(status);
  });

  it.each<[string, InferenceError, string, string]>([
    [
      'a path that nobody serves',
      new InferenceError('model_not_found', 'Not Found', { status: 404 }),
      'model_not_found',
      'Predictor digits-predictor.ns: Not Found',
    ],
    [
      'a status without words',
      new InferenceError('internal', 'The server answered 500 without a word', { status: 500 }),
      'model_failed',
      'Predictor digits-predictor.ns: The server answered 500 without a word',
    ],
    ['a media type that it does not take', new InferenceError('invalid_request', 'No PNG', { status: 415 }), 'unsupported_media_type', 'No PNG'],
    [
      'a method that it does not know',
      new InferenceError('method_not_allowed', 'No', { status: 405 }),
      'upstream_failed',
      'Predictor digits-predictor.ns: No',
    ],
    [
      'a proxy that does not reach it',
      new InferenceError('unavailable', 'bad gateway', { status: 502 }),
      'upstream_failed',
      'Cannot reach predictor digits-predictor.ns: bad gateway',
    ],
    [
      'nobody there, over REST',
      new InferenceError('unavailable', 'Cannot reach digits-predictor.ns: connect ECONNREFUSED 10.0.0.1:80', { retryable: true }),
      'model_not_ready',
      'Cannot reach predictor digits-predictor.ns: connect ECONNREFUSED 10.0.0.1:80',
    ],
    [
      'nobody there, over gRPC',
      new InferenceError('unavailable', 'Stream refused by server', { grpcCode: 'UNAVAILABLE', retryable: true }),
      'model_not_ready',
      'Cannot reach predictor digits-predictor.ns: Stream refused by server',
    ],
    [
      'nonsense',
      new InferenceError('invalid_response', 'Cannot read', { status: 200 }),
      'upstream_failed',
      'Predictor digits-predictor.ns: Cannot read',
    ],
    [
      'its cancellation',
      new InferenceError('cancelled', 'gone', { grpcCode: 'CANCELLED' }),
      'upstream_failed',
      'Predictor digits-predictor.ns: gone',
    ],
    [
      'no answer in time',
      new InferenceError('deadline_exceeded', 'Cannot infer'),
      'deadline_exceeded',
      'Predictor digits-predictor.ns did not answer within 250 ms',
    ],
    [
      'a large answer',
      new InferenceError('payload_too_large', 'Cannot read the response'),
      'upstream_failed',
      'Cannot read the answer of predictor digits-predictor.ns: expected at most 1000 bytes (--predictor_max_response_bytes)',
    ],
    [
      'a large request over gRPC',
      new InferenceError('payload_too_large', 'Received message larger than max (4000 vs 8388608)', { grpcCode: 'RESOURCE_EXHAUSTED' }),
      'payload_too_large',
      'Received message larger than max (4000 vs 8388608)',
    ],
  ])('tells of %s', (_, thrown, reason, message) => {
    expect(toRemoteError(thrown, PEER)).toMatchObject({ reason, message });
  });
});
