import * as grpc from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeStatusMessage, encodeStatusMessage, STATUS_NAMES, statusCode, statusName } from '../../../src/codec/index.ts';

describe('gRPC status', () => {
  it('names and codes are those of the protocol', () => {
    expect(STATUS_NAMES).toHaveLength(17);
    for (const name of STATUS_NAMES) {
      expect(statusCode(name)).toBe(grpc.status[name]);
      expect(statusName(String(statusCode(name)))).toBe(name);
    }
  });

  it.each([undefined, '', '17', '-1', '1e0', 'OK', '1, 2'])('%j is UNKNOWN', (header) => {
    expect(statusName(header)).toBe('UNKNOWN');
  });
});

describe('grpc-message', () => {
  it('of any text is printable ASCII and comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = encodeStatusMessage(text);
        expect(encoded).toMatch(/^[ -~]*$/);
        expect(decodeStatusMessage(encoded)).toBe(Buffer.from(text).toString());
      }),
    );
  });

  it('is percent-encoded as other servers do', () => {
    expect(encodeStatusMessage('100 % of "ü"\n')).toBe('100 %25 of "%C3%BC"%0A');
  });

  it.each(['50 %', '%zz', '%4', 'a%'])('that is not properly encoded, %j, stays as it is', (header) => {
    expect(decodeStatusMessage(header)).toBe(header);
  });
});
