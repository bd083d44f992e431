/** Numbers from 0 up to, not including, 1. */
export type Random = () => number;

/** Bob Jenkins's small fast generator (sfc32): the same numbers for the same seed on every platform. No secret may depend on it. */
export function createRandom(seed: number): Random {
  let a = 0;
  let b = seed >>> 0;
  let c = 0;
  let counter = 1;
  const next = (): number => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return (result >>> 0) / 2 ** 32;
  };
  // Seeds that lie close together come apart over the first rounds.
  for (let round = 0; round < 15; round++) next();
  return next;
}
