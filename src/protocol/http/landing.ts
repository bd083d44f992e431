/** Smaller bodies get a buffer of their own. */
const LEAST_BYTES = 1 << 22;

/** Weak: memory that is not lent goes with the next full collection. */
let idle: WeakRef<SharedArrayBuffer> | undefined;
let isLent = false;

/**
 * Storage for one large body at a time, used again and again. Shared memory, because V8 does not count it: tens of megabytes of ordinary buffers set off full
 * collections, which hold up every other request. In return it must not be made freely: there is one, and whoever finds it lent takes an ordinary buffer.
 * It holds what was in it before.
 */
export function borrowLanding(bytes: number): Uint8Array<SharedArrayBuffer> | undefined {
  if (isLent || bytes < LEAST_BYTES) return undefined;
  const known = idle?.deref();
  let buffer = known;
  if (buffer === undefined || buffer.byteLength < bytes) {
    // Powers of two: what bodies of slowly growing sizes leave behind stays below the size of the last. Untouched pages take no memory.
    buffer = new SharedArrayBuffer(2 ** Math.ceil(Math.log2(bytes)));
    idle = new WeakRef(buffer);
  }
  isLent = true;
  return new Uint8Array(buffer);
}

/** Nobody may look at the borrowed bytes afterwards. */
export function returnLanding(): void {
  isLent = false;
}
