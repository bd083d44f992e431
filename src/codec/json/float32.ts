const SCRATCH = new Float32Array(1);
const SCRATCH_BITS = new Uint32Array(SCRATCH.buffer);

/** "-1.17549435e-38" and shorter; fixed notation takes up to 22 digits and a sign. */
export const MAX_FLOAT32_TEXT = 24;

/** Ten to the powers -60 to 60, nearest doubles: errors of 2^-53 of a value are far below what the digits are chosen by. */
const POWERS = Float64Array.from({ length: 121 }, (_, index) => Number(`1e${index - 60}`));
/** At most this much of a unit in the ninth digit is lost to rounding in the arithmetic below; half a float32 step is at least 2.9 of them. */
const MARGIN = 1e-5;
const MOST_DIGITS = 9;

/**
 * Writes a finite float32 with few digits, those that read back to the same float32, in JavaScript's notation; returns where the text ends.
 * The value is scaled to nine digits before the point; then digits are dropped while what is left stays nearer to the value than half a step of float32.
 * They are the fewest possible, except where a shorter text lies within 1e-5 units of the ninth digit of the middle between two floats.
 */
export function writeFloat32(value: number, out: Uint8Array, start: number): number {
  let pos = start;
  let magnitude = value;
  if (value < 0 || Object.is(value, -0)) {
    out[pos++] = 0x2d;
    magnitude = -value;
  }
  if (magnitude < 1e9 && Math.floor(magnitude) === magnitude) return writeDigits(magnitude, out, pos, countDigits(magnitude));

  SCRATCH[0] = magnitude;
  const bits = SCRATCH_BITS[0] ?? 0;
  const exponent = bits >>> 23;
  // Half the distance to the nearer neighbour; below a power of two it is half as far.
  const isPowerOfTwo = (bits & 0x7f_ffff) === 0 && exponent > 1;
  const halfStep = 2 ** (Math.max(exponent, 1) - (isPowerOfTwo ? 152 : 151));

  let shift = 8 - Math.floor((exponent === 0 ? Math.log2(magnitude) : exponent - 127) * 0.30102999566398);
  let scaled = magnitude * power(shift);
  if (scaled >= 1e9) scaled = magnitude * power(--shift);
  else if (scaled < 1e8) scaled = magnitude * power(++shift);
  const allowed = halfStep * power(shift) - MARGIN;

  let dropped = 0;
  let digits = Math.floor(scaled + 0.5);
  while (dropped < MOST_DIGITS) {
    const unit = power(dropped + 1);
    const shorter = Math.floor(scaled / unit + 0.5);
    const distance = shorter * unit - scaled;
    if (distance >= allowed || -distance >= allowed) break;
    digits = shorter;
    dropped++;
  }
  return writeDecimal(digits, dropped - shift, out, pos);
}

function power(exponent: number): number {
  return POWERS[exponent + 60] ?? 0;
}

/** digits * 10^exponent, digits > 0, in the notation of Number.prototype.toString. */
function writeDecimal(digits: number, exponent: number, out: Uint8Array, start: number): number {
  let pos = start;
  const count = countDigits(digits);
  const point = count + exponent;
  if (point > 21 || point < -5) {
    const end = writeDigits(digits, out, pos, count);
    if (count > 1) {
      out.copyWithin(pos + 2, pos + 1, end);
      out[pos + 1] = 0x2e;
      pos = end + 1;
    } else pos = end;
    out[pos++] = 0x65;
    out[pos++] = point > 0 ? 0x2b : 0x2d;
    const size = Math.abs(point - 1);
    return writeDigits(size, out, pos, size < 10 ? 1 : 2);
  }
  if (exponent >= 0) {
    pos = writeDigits(digits, out, pos, count);
    for (let zeros = exponent; zeros > 0; zeros--) out[pos++] = 0x30;
    return pos;
  }
  if (point <= 0) {
    out[pos++] = 0x30;
    out[pos++] = 0x2e;
    for (let zeros = -point; zeros > 0; zeros--) out[pos++] = 0x30;
    return writeDigits(digits, out, pos, count);
  }
  const divisor = power(-exponent);
  const whole = Math.floor(digits / divisor);
  pos = writeDigits(whole, out, pos, point);
  out[pos++] = 0x2e;
  return writeDigits(digits - whole * divisor, out, pos, -exponent);
}

/** The last `count` decimal digits of an integer below 2^31. */
export function writeDigits(value: number, out: Uint8Array, start: number, count: number): number {
  let rest = value | 0;
  for (let pos = start + count - 1; pos >= start; pos--) {
    const quotient = (rest / 10) | 0;
    out[pos] = 0x30 + rest - quotient * 10;
    rest = quotient;
  }
  return start + count;
}

/** Decimal digits of an integer from 0 to below 10^10. */
export function countDigits(value: number): number {
  if (value < 1e5) return value < 1e2 ? (value < 1e1 ? 1 : 2) : value < 1e3 ? 3 : value < 1e4 ? 4 : 5;
  return value < 1e7 ? (value < 1e6 ? 6 : 7) : value < 1e8 ? 8 : value < 1e9 ? 9 : 10;
}
