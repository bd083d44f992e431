const UNITS: Readonly<Record<string, number>> = { n: 1e-6, u: 1e-3, m: 1, S: 1000, M: 60_000, H: 3_600_000 };

/** The finest first: a value has eight digits at most. */
const WRITTEN = ['m', 'S', 'M', 'H'] as const;
const MAX_VALUE = 99_999_999;

/** Header `grpc-timeout` of a wait in milliseconds, rounded up; what has passed already becomes the shortest there is. */
export function encodeTimeout(ms: number): string {
  if (!(ms > 0)) return '1n';
  for (const unit of WRITTEN) {
    const value = Math.ceil(ms / (UNITS[unit] ?? 1));
    if (value <= MAX_VALUE) return `${value}${unit}`;
  }
  return `${MAX_VALUE}H`;
}

/** Milliseconds of header `grpc-timeout`; undefined when it is not one: up to eight digits and a unit. */
export function decodeTimeout(text: string): number | undefined {
  const factor = UNITS[text.charAt(text.length - 1)];
  if (factor === undefined || !/^\d{1,8}.$/.test(text)) return undefined;
  return Number(text.slice(0, -1)) * factor;
}
