import { ServingError } from '../core/errors.ts';
import { decodeHuffman } from './hpack-huffman.ts';

/**
 * HTTP/2's header compression (RFC 7541). What is written here changes nothing at the peer's; what is read may refer to a dynamic table, unless
 * SETTINGS_HEADER_TABLE_SIZE 0 was announced: then blocks mean the same wherever they stand. Text is one character a byte.
 */
export const OK_STATUS = 0x88;
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

/** What RFC 7541 counts for an entry beside its text (section 4.1). */
const ENTRY_BYTES = 32;

/** The dynamic table of a connection's reader (RFC 7541 section 2.3.2). */
export class HeaderTable {
  /** Goes up whenever an index may have changed its meaning. */
  version = 0;
  readonly #offeredBytes: number;
  /** The youngest last. */
  readonly #entries: (readonly [name: string, value: string])[] = [];
  #maxBytes: number;
  #bytes = 0;

  /** `offeredBytes`: SETTINGS_HEADER_TABLE_SIZE, or what holds without it. */
  constructor(offeredBytes: number) {
    this.#offeredBytes = offeredBytes;
    this.#maxBytes = offeredBytes;
  }

  /** 1 is the youngest. */
  at(index: number): readonly [name: string, value: string] | undefined {
    return this.#entries[this.#entries.length - index];
  }

  /** An entry larger than the table empties it. */
  add(name: string, value: string): void {
    this.version++;
    this.#bytes += name.length + value.length + ENTRY_BYTES;
    this.#entries.push([name, value]);
    this.#evict();
  }

  /** False for more than was offered. */
  resize(bytes: number): boolean {
    if (bytes > this.#offeredBytes) return false;
    this.version++;
    this.#maxBytes = bytes;
    this.#evict();
    return true;
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest[0].length + oldest[1].length + ENTRY_BYTES;
    }
  }
}

/**
 * Names and values in turn. `table` is the connection's, which the block may change; without one none was offered. Undefined for more than `maxBytes` of headers, as
 * HTTP/2 counts them: the table is up to date all the same. Throws ServingError invalid_request for what is no block.
 */
export function decodeHeaderBlock(block: Uint8Array): string[];
export function decodeHeaderBlock(block: Uint8Array, table: HeaderTable, maxBytes: number): string[] | undefined;
export function decodeHeaderBlock(block: Uint8Array, table = new HeaderTable(0), maxBytes = Infinity): string[] | undefined {
  return new BlockReader(block, table, maxBytes).read();
}

class BlockReader {
  readonly #bytes: Uint8Array;
  readonly #table: HeaderTable;
  readonly #headers: string[] = [];
  /** What more of the list may be. */
  #room: number;
  #at = 0;

  constructor(bytes: Uint8Array, table: HeaderTable, maxBytes: number) {
    this.#bytes = bytes;
    this.#table = table;
    this.#room = maxBytes;
  }

  read(): string[] | undefined {
    let mayResize = true;
    while (this.#at < this.#bytes.length) {
      const first = this.#bytes[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw malformed('the size of the dynamic table changes in the middle');
        if (!this.#table.resize(this.#integer(5))) throw malformed('it enlarges a dynamic table beyond what was offered');
        continue;
      }
      mayResize = false;
      if ((first & 0x80) !== 0) {
        const [name, value] = this.#entry(this.#integer(7));
        this.#add(name, value);
        continue;
      }
      // With incremental indexing (6 bits), without or never (4).
      const isKept = (first & 0x40) !== 0;
      const index = this.#integer(isKept ? 6 : 4);
      const name = index === 0 ? this.#string() : this.#entry(index)[0];
      const value = this.#string();
      this.#add(name, value);
      if (isKept) this.#table.add(name, value);
    }
    return this.#room < 0 ? undefined : this.#headers;
  }

  /** A few bytes may stand for many kilobytes: beyond the limit nothing is collected. */
  #add(name: string, value: string): void {
    this.#room -= name.length + value.length + ENTRY_BYTES;
    if (this.#room >= 0) this.#headers.push(name, value);
  }

  #entry(index: number): readonly [name: string, value: string] {
    const entry = STATIC_TABLE[index - 1] ?? this.#table.at(index - STATIC_TABLE.length);
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
