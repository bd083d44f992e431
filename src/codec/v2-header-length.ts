import { invalidRequest } from '../core/errors.ts';
import { quoteName } from './json/fields.ts';

/** Spelled as Triton does; HTTP does not mind the case. */
export const HEADER_LENGTH_HEADER = 'Inference-Header-Content-Length';

/** The header's value: bytes of JSON before the raw tensors. Throws invalid_request for anything but digits. */
export function parseHeaderLength(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw invalidRequest(`Cannot read header ${HEADER_LENGTH_HEADER}: expected a number of bytes, got ${quoteName(text)}`);
  return Number(text);
}

/** Splits a body at the header length. Throws invalid_request when the body is shorter. */
export function splitBody(
  body: Uint8Array,
  headerLength: number | undefined,
  what: string,
): { readonly json: Uint8Array; readonly raw: Uint8Array | undefined } {
  if (headerLength === undefined) return { json: body, raw: undefined };
  if (!Number.isSafeInteger(headerLength) || headerLength < 0 || headerLength > body.length) {
    throw invalidRequest(`Cannot decode ${what}: expected ${HEADER_LENGTH_HEADER} of at most ${body.length} bytes, got ${headerLength}`);
  }
  return { json: body.subarray(0, headerLength), raw: body.subarray(headerLength) };
}
