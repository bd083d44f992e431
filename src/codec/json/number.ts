import type { JsonReader } from './reader.ts';

/** Longer numbers are refused: no datatype needs them, and they are read in one go. */
const MAX_NUMBER_BYTES = 4096;
/** Doubles hold integers of this many digits exactly. */
const EXACT_DIGITS = 15;
const MAX_DIGITS = 18;

/** 10^i for i <= 22 is an exact double; beyond it POWER_LOW holds what POWER_HIGH misses, together good for 106 bits. */
const EXACT_POWERS = 22;
const POWERS = 60;
const POWER_HIGH = Float64Array.from({ length: POWERS + 1 }, (_, power) => Number(10n ** BigInt(power)));
const POWER_LOW = Float64Array.from({ length: POWERS + 1 }, (_, power) => Number(10n ** BigInt(power) - BigInt(Number(10n ** BigInt(power)))));

/**
 * Reads the number at the cursor as the nearest double, the same bits as `Number(text)`; beyond the doubles' range it is an infinity, and what to do
 * about that is the caller's business.
 *
 * The first 9 significant digits and the next 9 are gathered as 32-bit integers. Up to 15 digits scaled by up to 10^22 take one correctly rounded
 * operation; up to 18 digits are scaled in double-double arithmetic, and only where that leaves the rounding in doubt is the text converted.
 */
export function readNumber(reader: JsonReader): number {
  const bytes = reader.bytes;
  const start = reader.pos;
  const limit = start + MAX_NUMBER_BYTES;
  let pos = start;
  const isNegative = bytes[pos] === 0x2d;
  if (isNegative) pos++;

  let first = 0;
  let second = 0;
  let digits = 0;
  let digit = (bytes[pos] ?? 0) - 0x30;
  const integerStart = pos;
  while (digit >= 0 && digit <= 9 && pos < limit) {
    if (digits < 9) first = first * 10 + digit;
    else if (digits < MAX_DIGITS) second = second * 10 + digit;
    if (digits > 0 || digit > 0) digits++;
    digit = (bytes[++pos] ?? 0) - 0x30;
  }
  if (pos === integerStart) failAt(reader, pos, isNegative ? 'a digit' : 'a value');
  if (bytes[integerStart] === 0x30 && pos - integerStart > 1) failAt(reader, integerStart + 1, 'no digit after a leading 0');

  let exponent = 0;
  if (digit === -2) {
    const fractionStart = pos + 1;
    digit = (bytes[++pos] ?? 0) - 0x30;
    while (digit >= 0 && digit <= 9 && pos < limit) {
      if (digits < 9) first = first * 10 + digit;
      else if (digits < MAX_DIGITS) second = second * 10 + digit;
      if (digits > 0 || digit > 0) digits++;
      digit = (bytes[++pos] ?? 0) - 0x30;
    }
    if (pos === fractionStart) failAt(reader, pos, 'a digit');
    exponent = fractionStart - pos;
  }
  if (digit === 0x15 || digit === 0x35) {
    reader.pos = pos + 1;
    exponent += readExponent(reader, limit);
    pos = reader.pos;
  }
  reader.pos = pos;
  if (pos >= limit) throw reader.error(`a number of more than ${MAX_NUMBER_BYTES} bytes at byte ${start}`);

  if (digits === 0) return isNegative ? -0 : 0;
  if (digits <= EXACT_DIGITS && exponent >= -EXACT_POWERS && exponent <= EXACT_POWERS) {
    const significand = digits <= 9 ? first : first * (POWER_HIGH[digits - 9] ?? 1) + second;
    const power = POWER_HIGH[exponent < 0 ? -exponent : exponent] ?? 1;
    const magnitude = exponent < 0 ? significand / power : significand * power;
    return isNegative ? -magnitude : magnitude;
  }
  if (digits <= MAX_DIGITS && exponent >= -POWERS && exponent <= POWERS) {
    const magnitude = scaleExactly(first, second, digits > 9 ? digits - 9 : 0, exponent);
    if (magnitude > 0) return isNegative ? -magnitude : magnitude;
  }
  return Number(reader.asciiSince(start));
}

function failAt(reader: JsonReader, pos: number, expected: string): never {
  reader.pos = pos;
  return reader.fail(expected);
}

/** Reads what follows `e`; huge exponents stop counting at a value that is decisive anyway. */
function readExponent(reader: JsonReader, limit: number): number {
  const bytes = reader.bytes;
  let pos = reader.pos;
  const sign = bytes[pos];
  if (sign === 0x2b || sign === 0x2d) pos++;
  const start = pos;
  let exponent = 0;
  let digit = (bytes[pos] ?? 0) - 0x30;
  while (digit >= 0 && digit <= 9 && pos < limit) {
    if (exponent < 100_000) exponent = exponent * 10 + digit;
    digit = (bytes[++pos] ?? 0) - 0x30;
  }
  if (pos === start) failAt(reader, pos, 'a digit');
  reader.pos = pos;
  return sign === 0x2d ? -exponent : exponent;
}

/** Splits a double into two halves of 26 bits whose products are exact (Dekker). */
const SPLITTER = 2 ** 27 + 1;
/** Far above the arithmetic's own error (below 2^-102 of the value) and far below half a unit in the last place (2^-54). */
const DOUBT = 2 ** -98;

/**
 * (first * 10^secondDigits + second) * 10^exponent as the nearest double, or 0 when the result lies so close to the middle between two doubles that
 * this arithmetic cannot tell which is nearer. `first` < 2^30 and secondDigits <= 9 make the first product exact.
 */
function scaleExactly(first: number, second: number, secondDigits: number, exponent: number): number {
  const leading = first * (POWER_HIGH[secondDigits] ?? 1);
  const high = leading + second;
  const low = second - (high - leading);
  const power = exponent < 0 ? -exponent : exponent;
  const powerHigh = POWER_HIGH[power] ?? 1;
  const powerLow = POWER_LOW[power] ?? 0;
  let result: number;
  let rest: number;
  if (exponent < 0) {
    result = high / powerHigh;
    const product = result * powerHigh;
    rest = (high - product - productError(result, powerHigh, product) + low - result * powerLow) / powerHigh;
  } else {
    result = high * powerHigh;
    rest = productError(high, powerHigh, result) + (high * powerLow + low * powerHigh);
  }
  const doubt = result * DOUBT;
  const below = result + (rest - doubt);
  return below === result + (rest + doubt) ? below : 0;
}

/** a * b - product, exactly, where product is their rounded product. */
function productError(a: number, b: number, product: number): number {
  const aScaled = a * SPLITTER;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = b * SPLITTER;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}
