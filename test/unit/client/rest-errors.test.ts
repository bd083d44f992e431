import { describe, expect, it } from 'vitest';
import { errorFromReply, parseJson, parseRetryAfter } from '../../../src/client/rest-errors.ts';
import type { RestReply } from '../../../src/client/rest-call.ts';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';

function reply(status: number, body: string, headers: Record<string, string> = {}): RestReply {
  return { status, headers, bytes: Buffer.from(body) };
}

describe('errorFromReply', () => {
  it('takes the text of {"error": …}, of {"detail": …}, else the body itself', () => {
    expect(errorFromReply(reply(404, '{"error":"Model with name x does not exist."}')).message).toBe('Model with name x does not exist.');
    expect(errorFromReply(reply(404, '{"detail":"Not Found"}')).message).toBe('Not Found');
    expect(errorFromReply(reply(422, '{"detail":[{"type":"missing"}]}')).message).toBe('[{"type":"missing"}]');
    expect(errorFromReply(reply(503, 'no healthy upstream\n')).message).toBe('no healthy upstream');
    expect(errorFromReply(reply(500, '{"error":')).message).toBe('{"error":');
    expect(errorFromReply(reply(500, '')).message).toBe('The server answered 500 without a word');
    expect(errorFromReply(reply(500, 'x'.repeat(5000))).message).toHaveLength(300);
  });

  it.each(Object.keys(ERROR_TABLE) as ErrorReason[])('retries %s exactly when the error table says so', (reason) => {
    const mapping = ERROR_TABLE[reason];
    expect(errorFromReply(reply(mapping.http, '{}')).retryable).toBe(mapping.retryable ?? false);
  });

  it('reads how long to wait', () => {
    expect(errorFromReply(reply(429, '{}', { 'retry-after': '2' })).retryAfterMs).toBe(2000);
    expect(errorFromReply(reply(429, '{}')).retryAfterMs).toBeUndefined();
    expect(errorFromReply(reply(500, '{}', { 'retry-after': '2' })).retryAfterMs).toBeUndefined();
  });

  it('names a reason for statuses that have no row of their own', () => {
    expect(errorFromReply(reply(418, '')).reason).toBe('invalid_request');
    expect(errorFromReply(reply(507, '')).reason).toBe('internal');
    expect(errorFromReply(reply(301, '')).reason).toBe('invalid_response');
  });
});

describe('parseRetryAfter', () => {
  it('reads seconds and dates and nothing else', () => {
    const now = Date.parse('Fri, 31 Dec 1999 23:59:50 GMT');
    expect(parseRetryAfter('120', now)).toBe(120_000);
    expect(parseRetryAfter('Fri, 31 Dec 1999 23:59:59 GMT', now)).toBe(9000);
    expect(parseRetryAfter('Fri, 31 Dec 1999 23:59:00 GMT', now)).toBe(0);
    expect(parseRetryAfter('soon', now)).toBeUndefined();
    expect(parseRetryAfter(undefined, now)).toBeUndefined();
  });
});

describe('parseJson', () => {
  it('shows the start of what is not JSON', () => {
    expect(() => parseJson(reply(200, '<html>'))).toThrow('Cannot read the response: expected JSON, got "<html>"');
  });
});
