import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { integerFromDecimal } from '../../../../src/codec/json/integer.ts';
import { readNumber } from '../../../../src/codec/json/number.ts';
import { JsonReader } from '../../../../src/codec/json/reader.ts';

function read(text: string): number {
  const reader = new JsonReader(Buffer.from(`${text},`), { what: 'document', maxDepth: 1 });
  const value = readNumber(reader);
  expect(reader.pos).toBe(text.length);
  return value;
}

function expectSame(text: string): void {
  if (!Object.is(read(text), Number(text))) expect({ text, value: read(text) }).toEqual({ text, value: Number(text) });
}

const digits = (max: number): fc.Arbitrary<string> => fc.array(fc.nat(9), { minLength: 1, maxLength: max }).map((list) => list.join(''));
const decimal = fc
  .tuple(fc.boolean(), digits(25), fc.option(digits(25)), fc.option(fc.integer({ min: -350, max: 350 })))
  .map(([negative, whole, fraction, exponent]) => {
    const integer = whole.replace(/^0+(?=\d)/, '');
    return `${negative ? '-' : ''}${integer}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`;
  });

describe('readNumber', () => {
  it('random decimals of any length and exponent are the doubles that Number gives, bit for bit', () => {
    fc.assert(fc.property(decimal, expectSame), { numRuns: 20_000 });
  });

  it('doubles and float32 values as JavaScript and Python print them come back', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expectSame(String(value));
        expectSame(value.toExponential(16));
        expectSame(value.toPrecision(17));
        expectSame(String(Math.fround(value) === Infinity || Math.fround(value) === -Infinity ? 0 : Math.fround(value)));
      }),
      { numRuns: 5000 },
    );
  });

  it('decimals within a hair of the middle between two doubles round as Number rounds them', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: -1, max: 1 }),
        (mantissa, shift, off) => {
          // An odd multiple of half a unit, exactly in the middle, and its neighbours.
          const middle = ((mantissa << 1n) + 1n) << BigInt(shift);
          expectSame(String(middle + BigInt(off)));
          expectSame(`${middle + BigInt(off)}e-5`);
          expectSame(`${middle}.0000000001`);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it.each([
    '0',
    '-0',
    '0.0',
    '-0e10',
    '0e999999999999',
    '1e999',
    '-1e999',
    '1e-999',
    '1e400000000000000000000',
    '1e-400000000000000000000',
    '5e-324',
    '2.4703282292062327e-324',
    '2.4703282292062328e-324',
    '1.7976931348623157e308',
    '1.7976931348623159e308',
    '9007199254740993',
    '9007199254740992.5',
    '123456789012345678',
    '1234567890123456789',
    '0.1',
    '0.30000000000000004',
    '8.5e22',
    '1E22',
    '1e23',
    '1E+2',
    '1e-22',
    '179769313486231580793728971405301e-60',
    '0.000000000000000000000000000000000000000000000000000000000000000001',
  ])('%s is the double that Number gives', (text) => {
    expectSame(text);
  });
});

describe('integerFromDecimal', () => {
  it.each([
    ['9223372036854775807', 9223372036854775807n],
    ['-9223372036854775808', -9223372036854775808n],
    ['9.223372036854775807e18', 9223372036854775807n],
    ['1.50e1', 15n],
    ['100000e-5', 1n],
    ['-0.0', 0n],
    ['0e999999999', 0n],
    ['1.5', undefined],
    ['1e999999999', undefined],
    ['1e-999999999', undefined],
    ['', undefined],
    ['0x10', undefined],
    [' 1', undefined],
    ['1n', undefined],
  ])('%s is %s', (text, expected) => {
    expect(integerFromDecimal(text)).toBe(expected);
  });
});
