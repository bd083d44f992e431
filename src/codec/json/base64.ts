import type { Steps } from '../../core/steps.ts';

/** A multiple of four characters between two pauses. */
const SLICE_CHARACTERS = 1 << 18;

/** Bytes of a base64 text in the standard or the URL-safe alphabet, padded or not; undefined when it is anything else. */
export function* decodeBase64(text: string): Steps<Uint8Array | undefined> {
  let length = text.length;
  if (length % 4 === 0 && text.endsWith('=')) length -= text.endsWith('==') ? 2 : 1;
  if (length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let used = 0;
  for (let from = 0; from < length; from += SLICE_CHARACTERS) {
    // The platform's decoder leaves out characters that are not base64, so a wrong one shows as missing bytes.
    const slice = text.slice(from, Math.min(from + SLICE_CHARACTERS, length));
    const decoded = Buffer.from(slice, 'base64');
    if (decoded.length !== Math.floor((slice.length * 3) / 4)) return undefined;
    bytes.set(decoded, used);
    used += decoded.length;
    if (from > 0) yield;
  }
  return bytes;
}
