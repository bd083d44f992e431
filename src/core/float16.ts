/**
 * The two 16-bit floats that JavaScript has no type for, exactly: IEEE 754 binary16 (FP16) and bfloat16 (BF16).
 *
 *     FP16  s eeeee ffffffffff      BF16  s eeeeeeee fffffff     (BF16 is the upper half of a float32)
 *
 * Decoding is exact. Encoding rounds a double once, to nearest, ties to even; what rounds beyond the largest finite value becomes an infinity,
 * as IEEE 754 says: a caller that must refuse such a value asks `isFloat16Infinity(bits)` for a finite one.
 */
const SCRATCH = new Float64Array(1);
const SCRATCH_WORDS = new Uint32Array(SCRATCH.buffer);
const SCRATCH_FLOAT32 = new Float32Array(1);
const SCRATCH_FLOAT32_BITS = new Uint32Array(SCRATCH_FLOAT32.buffer);

/** Adding and taking away 2^52 rounds a smaller non-negative double to an integer, ties to even. */
const ROUNDER = 2 ** 52;

/** FP16_SCALE[e] = 2^(e - 25): turns the 11-bit significand of exponent field e into its value. */
const FP16_SCALE = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25));
const FP16_SUBNORMAL_UNIT = 2 ** -24;

export function float16ToNumber(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  let magnitude: number;
  if (exponent === 0) magnitude = fraction * FP16_SUBNORMAL_UNIT;
  else if (exponent === 0x1f) magnitude = fraction === 0 ? Infinity : NaN;
  else magnitude = (0x400 + fraction) * (FP16_SCALE[exponent] ?? 0);
  return (bits & 0x8000) === 0 ? magnitude : -magnitude;
}

export function bfloat16ToNumber(bits: number): number {
  SCRATCH_FLOAT32_BITS[0] = (bits & 0xffff) << 16;
  return SCRATCH_FLOAT32[0] ?? 0;
}

/** NaN becomes the quiet NaN 0x7e00. */
export function numberToFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  return roundToBits(value, 10, -14, 2 ** 24, 0x7c00);
}

/** NaN becomes the quiet NaN 0x7fc0. */
export function numberToBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  return roundToBits(value, 7, -126, 2 ** 133, 0x7f80);
}

export function isFloat16Infinity(bits: number): boolean {
  return (bits & 0x7fff) === 0x7c00;
}

export function isBfloat16Infinity(bits: number): boolean {
  return (bits & 0x7fff) === 0x7f80;
}

/**
 * Rounds to a 16-bit float with `fractionBits` explicit fraction bits. Values below 2^minExponent are counted in units of 1 / subnormalScale;
 * a carry out of the fraction lands in the exponent field, which is right for both kinds.
 */
function roundToBits(value: number, fractionBits: number, minExponent: number, subnormalScale: number, infinity: number): number {
  SCRATCH[0] = value;
  const high = SCRATCH_WORDS[1] ?? 0;
  const sign = (high >>> 16) & 0x8000;
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  if (exponent < minExponent) return sign | (Math.abs(value) * subnormalScale + ROUNDER - ROUNDER);
  if (exponent > -minExponent + 1) return sign | infinity;
  SCRATCH_WORDS[1] = ((fractionBits + 1023) << 20) | (high & 0xf_ffff);
  const significand = SCRATCH[0] + ROUNDER - ROUNDER;
  return sign | (((exponent - minExponent) << fractionBits) + significand);
}
