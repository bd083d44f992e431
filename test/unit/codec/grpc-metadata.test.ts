import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBinaryValue, encodeBinaryValue, isBinaryKey, isMetadataKey, isMetadataText, splitBinaryValues } from '../../../src/codec/index.ts';

describe('gRPC metadata', () => {
  it('values of bytes come back, with and without padding', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const header = encodeBinaryValue(bytes);
        expect(header).not.toContain('=');
        expect([...decodeBinaryValue(header)]).toEqual([...bytes]);
        expect([...decodeBinaryValue(Buffer.from(bytes).toString('base64'))]).toEqual([...bytes]);
      }),
    );
  });

  it('values that a proxy joined are told apart', () => {
    expect(splitBinaryValues('AP8,YQ==, YmM')).toEqual(['AP8', 'YQ==', 'YmM']);
  });

  it.each([
    ['x-request-id', true],
    ['a.b_c-bin', true],
    ['X-Upper', false],
    ['grpc-timeout', false],
    [':path', false],
    ['x a', false],
    ['', false],
  ])('key %j is custom metadata: %s', (key, isOne) => {
    expect(isMetadataKey(key)).toBe(isOne);
  });

  it('values of text are printable ASCII', () => {
    expect([' ~az', 'a\n', 'ü', 'a\0', '\x7f'].map(isMetadataText)).toEqual([true, false, false, false, false]);
  });

  it('a key says whether its values are bytes', () => {
    expect(['a-bin', 'bin', 'a-bin-b'].map(isBinaryKey)).toEqual([true, false, false]);
  });
});
