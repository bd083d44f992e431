import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bfloat16ToNumber,
  float16ToNumber,
  isBfloat16Infinity,
  isFloat16Infinity,
  numberToBfloat16,
  numberToFloat16,
} from '../../../src/core/float16.ts';

/** All finite values of a format in ascending order, with their bits. */
function positives(decode: (bits: number) => number, infinity: number): { bits: number; value: number }[] {
  return Array.from({ length: infinity }, (_, bits) => ({ bits, value: decode(bits) }));
}

const FORMATS = [
  { name: 'FP16', decode: float16ToNumber, encode: numberToFloat16, infinity: 0x7c00, nan: 0x7e00, max: 65504, isInfinity: isFloat16Infinity },
  {
    name: 'BF16',
    decode: bfloat16ToNumber,
    encode: numberToBfloat16,
    infinity: 0x7f80,
    nan: 0x7fc0,
    max: (2 - 2 ** -7) * 2 ** 127,
    isInfinity: isBfloat16Infinity,
  },
] as const;

describe.each(FORMATS)('$name', ({ decode, encode, infinity, nan, max, isInfinity }) => {
  it('every bit pattern that is not NaN, decoded and encoded, is itself again', () => {
    for (let bits = 0; bits < 0x1_0000; bits++) {
      const value = decode(bits);
      if (Number.isNaN(value)) expect(bits & 0x7fff).toBeGreaterThan(infinity);
      else if (encode(value) !== bits) expect(encode(value)).toBe(bits);
    }
  });

  it('the middle between two neighbours rounds to the even one, and a hair off it to the nearer', () => {
    const values = positives(decode, infinity);
    for (let index = 0; index + 1 < values.length; index++) {
      const low = values[index]!;
      const high = values[index + 1]!;
      const middle = low.value / 2 + high.value / 2;
      const hair = (high.value - low.value) * 2 ** -40;
      const even = low.bits % 2 === 0 ? low.bits : high.bits;
      if (
        encode(middle) !== even ||
        encode(middle - hair) !== low.bits ||
        encode(middle + hair) !== high.bits ||
        encode(-middle) !== (even | 0x8000)
      ) {
        expect({ middle, at: encode(middle), below: encode(middle - hair), above: encode(middle + hair) }).toEqual({
          middle,
          at: even,
          below: low.bits,
          above: high.bits,
        });
      }
    }
  });

  it('NaN, infinities, zeros and values beyond the largest encode as IEEE 754 says', () => {
    expect(encode(NaN)).toBe(nan);
    expect(encode(Infinity)).toBe(infinity);
    expect(encode(-Infinity)).toBe(infinity | 0x8000);
    expect(encode(-0)).toBe(0x8000);
    expect(encode(max)).toBe(infinity - 1);
    expect(decode(infinity - 1)).toBe(max);
    expect(encode(Number.MAX_VALUE)).toBe(infinity);
    expect(encode(Number.MIN_VALUE)).toBe(0);
    expect(encode(-Number.MIN_VALUE)).toBe(0x8000);
    expect(isInfinity(infinity)).toBe(true);
    expect(isInfinity(infinity | 0x8000)).toBe(true);
    expect(isInfinity(nan)).toBe(false);
    expect(isInfinity(encode(max))).toBe(false);
  });

  it('any double encodes to a value at least as near as both neighbours of it', () => {
    fc.assert(
      fc.property(fc.double({ min: -max, max, noNaN: true }), (value) => {
        const bits = encode(value);
        const distance = Math.abs(decode(bits) - value);
        for (const neighbour of [bits + 1, bits - 1]) {
          const other = decode(neighbour & 0xffff);
          if (Number.isFinite(other)) expect(Math.abs(other - value)).toBeGreaterThanOrEqual(distance);
        }
      }),
    );
  });
});

it('FP16 vectors of KServe decode to the published values', () => {
  const bytes = Buffer.from('cd469a41cd449a3d0046cd428044663e', 'hex');
  const values = Array.from({ length: 8 }, (_, index) => float16ToNumber(bytes.readUInt16LE(index * 2)));
  expect(values).toEqual([6.80078125, 2.80078125, 4.80078125, 1.400390625, 6, 3.400390625, 4.5, 1.599609375]);
  expect([6.8, 2.8, 4.8, 1.4, 6, 3.4, 4.5, 1.6].map(numberToFloat16)).toEqual(values.map(numberToFloat16));
});
