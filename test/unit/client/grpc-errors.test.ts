import { describe, expect, it } from 'vitest';
import { errorFromHttpStatus, errorFromReset, errorFromStatus } from '../../../src/client/grpc-errors.ts';
import { statusCode } from '../../../src/codec/index.ts';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';

const WITH_GRPC = (Object.keys(ERROR_TABLE) as ErrorReason[]).filter((reason) => ERROR_TABLE[reason].grpc !== undefined);

describe('errorFromStatus', () => {
  it.each(WITH_GRPC)('retries %s exactly when it passes', (reason) => {
    const mapping = ERROR_TABLE[reason];
    const code = statusCode(mapping.grpc!);
    const isOverload = reason === 'overloaded';
    const error = errorFromStatus({ code, details: 'x', ...(isOverload ? { pushback: '10' } : {}) });
    expect(error.grpcCode).toBe(mapping.grpc);
    // UNAVAILABLE cannot tell a bad gateway from a server that is not ready.
    expect(error.retryable).toBe(mapping.retryable ?? reason === 'upstream_failed');
  });

  it('tells overload from size by the pushback', () => {
    const overload = errorFromStatus({ code: statusCode('RESOURCE_EXHAUSTED'), details: 'queue full', pushback: '250' });
    expect(overload).toMatchObject({ reason: 'overloaded', retryable: true, retryAfterMs: 250, message: 'queue full' });
    const size = errorFromStatus({ code: statusCode('RESOURCE_EXHAUSTED'), details: 'too large' });
    expect(size).toMatchObject({ reason: 'payload_too_large', retryable: false, retryAfterMs: undefined });
  });

  it('does not retry when the pushback says so', () => {
    expect(errorFromStatus({ code: statusCode('UNAVAILABLE'), details: 'x', pushback: '-1' }).retryable).toBe(false);
  });

  it('gives words to a status without any, and a name to an unknown code', () => {
    expect(errorFromStatus({ code: statusCode('INTERNAL'), details: '' }).message).toBe('The server answered INTERNAL');
    expect(errorFromStatus({ code: 99, details: 'x' }).grpcCode).toBe('UNKNOWN');
  });

  it('gives its words to what is no answer of gRPC', () => {
    expect(errorFromReset(7)).toMatchObject({ reason: 'unavailable', grpcCode: 'UNAVAILABLE', message: 'Stream refused by server', retryable: true });
    expect(errorFromReset(8)).toMatchObject({ reason: 'cancelled', message: 'Call cancelled' });
    expect(errorFromReset(1)).toMatchObject({ reason: 'internal', message: 'Received RST_STREAM with code 1', retryable: false });
    expect(errorFromHttpStatus(503)).toMatchObject({ reason: 'unavailable', message: 'Received HTTP status code 503', retryable: true });
    expect(errorFromHttpStatus(404)).toMatchObject({ reason: 'unimplemented' });
    expect(errorFromHttpStatus(418)).toMatchObject({ reason: 'internal', grpcCode: 'UNKNOWN' });
  });
});
