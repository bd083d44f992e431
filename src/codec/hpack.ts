import { ServingError } from '../core/errors.ts';
import { decodeHuffman } from './hpack-huffman.ts';

/**
 * HTTP/2's header compression (RFC 7541) without a dynamic table: who announces SETTINGS_HEADER_TABLE_SIZE 0 gets blocks that mean the same wherever they
 * stand, and sends blocks that change nothing at the peer's. Text is one character a byte.
 */
export const POST_METHOD = 0x83;
export const HTTP_SCHEME = 0x86;
export const HTTPS_SCHEME = 0x87;

/** RFC 7541 appendix A; entry i has index i + 1. */
const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = (
  ':authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304|:status 400|' +
  ':status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|' +
  'authorization|cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|' +
  'date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|' +
  'proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|' +
  'vary|via|www-authenticate'
)
  .split('|')
  .map((entry) => {
    const blank = entry.indexOf(' ');
    return blank < 0 ? [entry, ''] : [entry.slice(0, blank), entry.slice(blank + 1)];
  });

/** Names and values in turn. Throws ServingError invalid_request for what is no block, or refers to a dynamic table. */
export function decodeHeaderBlock(block: Uint8Array): string[] {
  return new BlockReader(block).read();
}

class BlockReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(): string[] {
    const headers: string[] = [];
    while (this.#at < this.#bytes.length) {
      const first = this.#bytes[this.#at] ?? 0;
      if ((first & 0x80) !== 0) headers.push(...this.#entry(this.#integer(7)));
      else if ((first & 0xe0) === 0x20) {
        if (this.#integer(5) !== 0) throw malformed('it enlarges a dynamic table that was not offered');
      } else {
        // With incremental indexing (6 bits), without or never (4): nothing is kept either way.
        const index = this.#integer((first & 0x40) !== 0 ? 6 : 4);
        headers.push(index === 0 ? this.#string() : this.#entry(index)[0], this.#string());
      }
    }
    return headers;
  }

  #entry(index: number): readonly [string, string] {
    const entry = STATIC_TABLE[index - 1];
    if (entry === undefined) throw malformed(`there is no entry ${index}`);
    return entry;
  }

  /** Section 5.1. */
  #integer(prefixBits: number): number {
    const most = 2 ** prefixBits - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let factor = 1; factor <= 2 ** 21; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw malformed('an integer is too large');
  }

  /** Section 5.2. */
  #string(): string {
    const isHuffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#bytes.length) throw malformed('it ends within a string');
    this.#at = to;
    if (!isHuffman) return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, length).toString('latin1');
    const text = decodeHuffman(this.#bytes, from, to);
    if (text === undefined) throw malformed('a string is no Huffman code');
    return text;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw malformed('it ends within a field');
    return byte;
  }
}

function malformed(what: string): ServingError {
  return new ServingError('invalid_request', `Cannot decode header block: ${what}`);
}

/** Most bytes that `writeHeader` takes. */
export function headerBytes(name: string, value: string): number {
  return name.length + value.length + 12;
}

/**
 * Writes a header, as it is and never indexed on the way when `isSecret`, to `target[at …]`, and returns where it ends. Characters above U+00FF must not
 * be in it; the name is in lower case.
 */
export function writeHeader(target: Buffer, at: number, name: string, value: string, isSecret = false): number {
  target[at++] = isSecret ? 0x10 : 0;
  at = writeText(target, at, name);
  return writeText(target, at, value);
}

function writeText(target: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length < 127) target[at++] = length;
  else {
    target[at++] = 127;
    let rest = length - 127;
    for (; rest > 127; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) + 128;
    target[at++] = rest;
  }
  // Most are short, and a call into native code costs more than this.
  if (length > 48) return at + target.write(text, at, 'latin1');
  for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i);
  return at + length;
}
