/** Below this a loop is quicker than making a view to copy from. */
const SHORT = 48;

/** Copies source[from … to) to target[at …]. */
export function copyBytes(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): void {
  if (to - from > SHORT) {
    target.set(source.subarray(from, to), at);
    return;
  }
  for (let index = from; index < to; index++) target[at + index - from] = source[index] ?? 0;
}
