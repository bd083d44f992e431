/** Name of the output tensor's parameter, and prefix of the model's property, that lists the keys of flattened maps as a JSON array. */
export const KEYS_PARAMETER = 'keys';

/** An integer key as JSON can hold it: digits in a string beyond 2^53. */
export function mapKey(key: bigint): string | number {
  const number = Number(key);
  return Number.isSafeInteger(number) ? number : String(key);
}
