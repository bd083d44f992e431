import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FLOAT32_TEXT, writeFloat32 } from '../../../../src/codec/json/float32.ts';

const out = Buffer.alloc(64);
const format = (value: number): string => out.toString('latin1', 0, writeFloat32(value, out, 0));

function shortest(value: number): string {
  for (let precision = 1; precision < 9; precision++) {
    const text = value.toPrecision(precision);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

describe('writeFloat32', () => {
  it.each([
    [0, '0'],
    [-0, '-0'],
    [1, '1'],
    [-0.5, '-0.5'],
    [Math.fround(0.1), '0.1'],
    [Math.fround(6.8), '6.8'],
    [Math.fround(3.4028234663852886e38), '3.4028235e+38'],
    [Math.fround(1.17549435e-38), '1.1754944e-38'],
    [2 ** -149, '1e-45'],
    [16777216, '16777216'],
    [Math.fround(1e21), '1e+21'],
    [Math.fround(123456789012), '123456790000'],
    [Math.fround(0.000001), '0.000001'],
    [Math.fround(1e-7), '1e-7'],
  ])('%s is written as %s', (value, text) => {
    expect(format(value)).toBe(text);
  });

  it('any float32 reads back to itself, is as short as can be and looks as JavaScript would write those digits', () => {
    const float = new Float32Array(1);
    const bits = new Uint32Array(float.buffer);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (pattern) => {
        bits[0] = pattern;
        const value = float[0]!;
        if (!Number.isFinite(value)) return;
        const text = format(value);
        expect(Math.fround(Number(text))).toBe(value);
        expect(text.length).toBeLessThanOrEqual(MAX_FLOAT32_TEXT);
        expect(text.length).toBeLessThanOrEqual(shortest(value).length);
        if (value !== 0) expect(text).toBe(String(Number(text)));
      }),
      { numRuns: 20_000 },
    );
  });

  it('every power of two and its neighbours read back to themselves', () => {
    const float = new Float32Array(1);
    const bits = new Uint32Array(float.buffer);
    for (let exponent = 0; exponent < 255; exponent++) {
      for (const off of [-1, 0, 1]) {
        bits[0] = Math.max(0, (exponent << 23) + off);
        if (Math.fround(Number(format(float[0]!))) !== float[0]) expect(format(float[0]!)).toBe(String(float[0]));
      }
    }
  });
});
