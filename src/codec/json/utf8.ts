import { isUtf8 } from 'node:buffer';
import { invalidRequest } from '../../core/errors.ts';
import type { Steps } from '../../core/steps.ts';

const SLICE_BYTES = 1 << 20;

/** Throws invalid_request unless `bytes` are UTF-8 without a byte order mark. Slices end between characters. */
export function* checkUtf8(bytes: Uint8Array, what: string): Steps<void> {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw invalidRequest(`Cannot parse ${what}: expected JSON, got a byte order mark`);
  }
  let from = 0;
  while (from < bytes.length) {
    const to = characterStart(bytes, Math.min(from + SLICE_BYTES, bytes.length));
    if (!isUtf8(bytes.subarray(from, to))) throw invalidRequest(`Cannot parse ${what}: expected UTF-8, got other bytes after byte ${from}`);
    from = to;
    if (from < bytes.length) yield;
  }
}

/** `limit`, or up to three bytes earlier where a character starts. */
function characterStart(bytes: Uint8Array, limit: number): number {
  for (let position = limit; position > limit - 4; position--) if (((bytes[position] ?? 0) & 0xc0) !== 0x80) return position;
  return limit;
}
