const PLAIN = /^-?\d{1,20}$/;
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** 2^64 has 20 digits; what has more is out of every range, whatever its digits. */
const MOST_DIGITS = 20;

/**
 * The integer that a decimal text stands for, exactly (`9223372036854775807`, `1.5e1`); undefined when it is no number, has a fraction, or has more than
 * 20 digits before the point. Never computes a power larger than that.
 */
export function integerFromDecimal(text: string): bigint | undefined {
  if (PLAIN.test(text)) return BigInt(text);
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = match;
  const significant = stripZeros(whole + fraction);
  if (significant.digits === '') return 0n;
  const zeros = Number(exponentText) - fraction.length + significant.trailing;
  if (zeros < 0 || significant.digits.length + zeros > MOST_DIGITS) return undefined;
  const magnitude = BigInt(significant.digits) * 10n ** BigInt(zeros);
  return sign === '-' ? -magnitude : magnitude;
}

/** Digits without leading and trailing zeros, and how many trailing ones there were. */
function stripZeros(digits: string): { readonly digits: string; readonly trailing: number } {
  let start = 0;
  let end = digits.length;
  while (start < end && digits.charCodeAt(start) === 0x30) start++;
  while (end > start && digits.charCodeAt(end - 1) === 0x30) end--;
  return { digits: digits.slice(start, end), trailing: digits.length - end };
}
