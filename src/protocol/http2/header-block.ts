import { headerBytes, OK_STATUS, writeHeader } from '../../codec/index.ts';
import { CONNECTION_HEADERS } from './request-head.ts';

/** Names in any case; with `:status` first in answers. */
export type ResponseHeaders = Readonly<Record<string, string | number | undefined>>;

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** One character a byte, none that ends a line. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The block of an answer's head or of its trailers. Throws Error for headers that HTTP/2 cannot carry. */
export function encodeHeaders(headers: ResponseHeaders): Buffer {
  let bytes = 0;
  for (const name in headers) bytes += headerBytes(name, String(headers[name] ?? ''));
  const block = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (value === 200 && name === ':status') block[at++] = OK_STATUS;
    else at = writeHeader(block, at, checkedName(name), checkedValue(name, String(value)));
  }
  return block.subarray(0, at);
}

function checkedName(given: string): string {
  const name = given.toLowerCase();
  if (!NAME.test(name) || CONNECTION_HEADERS.has(name)) throw new Error(`HTTP/2 has no header ${JSON.stringify(given.slice(0, 100))}`);
  return name;
}

function checkedValue(name: string, value: string): string {
  if (!VALUE.test(value)) throw new Error(`Header ${name} has characters that HTTP/2 does not carry`);
  return value;
}
