import { Metadata, status as Status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { errorFromStatus } from '../../../src/client/grpc-errors.ts';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';

function metadata(pushback: string): Metadata {
  const made = new Metadata();
  made.set('grpc-retry-pushback-ms', pushback);
  return made;
}

const WITH_GRPC = (Object.keys(ERROR_TABLE) as ErrorReason[]).filter((reason) => ERROR_TABLE[reason].grpc !== undefined);

describe('errorFromStatus', () => {
  it.each(WITH_GRPC)('retries %s exactly when it passes', (reason) => {
    const mapping = ERROR_TABLE[reason];
    const code = Status[mapping.grpc!];
    const isOverload = reason === 'overloaded';
    const error = errorFromStatus({ code, details: 'x', ...(isOverload ? { metadata: metadata('10') } : {}) });
    expect(error.grpcCode).toBe(mapping.grpc);
    // UNAVAILABLE cannot tell a bad gateway from a server that is not ready.
    expect(error.retryable).toBe(mapping.retryable ?? reason === 'upstream_failed');
  });

  it('tells overload from size by the pushback', () => {
    const overload = errorFromStatus({ code: Status.RESOURCE_EXHAUSTED, details: 'queue full', metadata: metadata('250') });
    expect(overload).toMatchObject({ reason: 'overloaded', retryable: true, retryAfterMs: 250, message: 'queue full' });
    const size = errorFromStatus({ code: Status.RESOURCE_EXHAUSTED, details: 'too large', metadata: new Metadata() });
    expect(size).toMatchObject({ reason: 'payload_too_large', retryable: false, retryAfterMs: undefined });
  });

  it('does not retry when the pushback says so', () => {
    expect(errorFromStatus({ code: Status.UNAVAILABLE, details: 'x', metadata: metadata('-1') }).retryable).toBe(false);
  });

  it('gives words to a status without any, and a name to an unknown code', () => {
    expect(errorFromStatus({ code: Status.INTERNAL, details: '' }).message).toBe('The server answered INTERNAL');
    expect(errorFromStatus({ code: JSON.parse('99') as Status, details: 'x' }).grpcCode).toBe('UNKNOWN');
  });
});
