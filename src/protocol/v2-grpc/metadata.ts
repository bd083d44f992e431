import { decodeBinaryValue, encodeBinaryValue, isBinaryKey, isMetadataKey, isMetadataText, splitBinaryValues } from '../../codec/index.ts';
import { ServingError } from '../../core/errors.ts';
import type { RequestHeaders, ResponseHeaders } from '../http2/index.ts';

/** Keys that say how an answer travels: gRPC's and HTTP/2's own. */
const TRANSPORT_KEY =
  /^(:|grpc-)|^(connection|content-encoding|content-length|content-type|date|host|http2-settings|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/;

/** A call's metadata without HTTP/2's own; repeated values joined by commas, binary ones as padded base64, the first of several. */
export function requestMetadata(headers: RequestHeaders): Record<string, string | undefined> {
  const metadata = Object.create(null) as Record<string, string | undefined>;
  for (const key in headers) {
    const value = headers[key];
    // 58: a colon, before the names of pseudo-headers.
    if (key.charCodeAt(0) === 58 || value === undefined) continue;
    metadata[key] = isBinaryKey(key) ? decodeBinaryValue(splitBinaryValues(value)[0] ?? '').toString('base64') : value;
  }
  return metadata;
}

/** Adds a handler's response headers to those before the answer; `-bin` values are base64. Throws handler_failed for one that gRPC cannot carry. */
export function withMetadata(own: ResponseHeaders, headers: Readonly<Record<string, string>>): ResponseHeaders {
  const all: Record<string, string | number | undefined> = { ...own };
  for (const [name, value] of Object.entries(headers)) {
    if (TRANSPORT_KEY.test(name)) continue;
    if (!isMetadataKey(name) || !(isBinaryKey(name) || isMetadataText(value))) throw cannotCarry(name, value);
    all[name] = isBinaryKey(name) ? encodeBinaryValue(Buffer.from(value, 'base64')) : value;
  }
  return all;
}

function cannotCarry(name: string, value: string): ServingError {
  const got = JSON.stringify(`${name}: ${value}`.slice(0, 100));
  return new ServingError('handler_failed', `Cannot answer: expected response headers that gRPC can carry, got ${got}`);
}
