import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTimeout, encodeTimeout } from '../../../src/codec/index.ts';

describe('grpc-timeout', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['250m', 250],
    ['1500u', 1.5],
    ['99999999n', 99.999999],
    ['0m', 0],
  ])('%s is %d ms', (text, ms) => {
    expect(decodeTimeout(text)).toBeCloseTo(ms, 9);
  });

  it.each(['', 'm', '1', '1s', '-1m', '1.5S', ' 1m', '1m ', '123456789m', '1mm', '0x1m', '1\nm'])('%j is none', (text) => {
    expect(decodeTimeout(text)).toBeUndefined();
  });

  it('of any wait is no shorter, hardly longer and has eight digits at most', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 3e11, noNaN: true }), (ms) => {
        const text = encodeTimeout(ms);
        expect(text).toMatch(/^\d{1,8}[mSMH]$/);
        const back = decodeTimeout(text) ?? NaN;
        expect(back).toBeGreaterThanOrEqual(ms);
        expect(back - ms).toBeLessThanOrEqual(1 + ms * 1e-3);
      }),
    );
  });

  it.each([0, -5, NaN])('of %d ms is the shortest there is', (ms) => {
    expect(encodeTimeout(ms)).toBe('1n');
  });

  it('of no end at all is the longest there is', () => {
    expect(encodeTimeout(Infinity)).toBe('99999999H');
  });
});
