import type { HeaderTable } from '../../codec/index.ts';
import { decodeHeaderBlock } from '../../codec/index.ts';

/** Names in lower case, with the pseudo-headers; values of repeated ones are joined. Shared by requests alike: nobody changes it. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

/** Heads known by heart, and how long their blocks may be: a client's requests are mostly alike. */
const MOST_KNOWN_BLOCKS = 64;
const LONGEST_KNOWN_BLOCK = 512;

/** RFC 9110 section 5.6.2, without the upper case that HTTP/2 does not have. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const NO_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

const REQUEST_PSEUDO_HEADERS: ReadonlySet<string> = new Set([':method', ':scheme', ':path', ':authority']);

/** What belongs to HTTP/1.1's connections (RFC 9113 section 8.2.2). */
export const CONNECTION_HEADERS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Of these the first counts. */
const SINGLE: ReadonlySet<string> = new Set(['authorization', 'content-encoding', 'content-type', 'host', 'user-agent']);

/** `malformed`: RFC 9113 section 8.1.1. */
export type RequestHead = RequestHeaders | 'malformed' | 'too large';

/** Reads the heads of one connection's requests. */
export class RequestHeads {
  readonly #table: HeaderTable;
  readonly #maxBytes: number;
  readonly #known = new Map<string, RequestHeaders>();
  #version = 0;

  constructor(table: HeaderTable, maxBytes: number) {
    this.#table = table;
    this.#maxBytes = maxBytes;
  }

  /** Throws ServingError invalid_request for what is no block, which ends the connection. */
  read(block: Buffer): RequestHead {
    const version = this.#table.version;
    if (version !== this.#version) {
      this.#known.clear();
      this.#version = version;
    }
    const key = block.length > LONGEST_KNOWN_BLOCK ? undefined : block.toString('latin1');
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    const list = decodeHeaderBlock(block, this.#table, this.#maxBytes);
    if (list === undefined) return 'too large';
    const headers = requestHeaders(list);
    if (headers === undefined) return 'malformed';
    // A block that changes the table means something else the next time.
    if (key !== undefined && this.#table.version === version) {
      if (this.#known.size >= MOST_KNOWN_BLOCKS) this.#known.clear();
      this.#known.set(key, headers);
    }
    return headers;
  }

  /** Trailers: nobody here wants them, but they must be right. */
  readTrailers(block: Buffer): 'fine' | 'malformed' {
    const list = decodeHeaderBlock(block, this.#table, this.#maxBytes);
    for (let at = 0; list !== undefined && at < list.length; at += 2) if (!isField(list[at] ?? '', list[at + 1] ?? '')) return 'malformed';
    return 'fine';
  }
}

/** Undefined for what is malformed. */
function requestHeaders(list: readonly string[]): RequestHeaders | undefined {
  const headers = Object.create(null) as Record<string, string | undefined>;
  let isBehindPseudo = false;
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at] ?? '';
    const value = list[at + 1] ?? '';
    const existing = headers[name];
    if (name.charCodeAt(0) === COLON) {
      if (isBehindPseudo || existing !== undefined || !REQUEST_PSEUDO_HEADERS.has(name) || NO_VALUE.test(value)) return undefined;
      headers[name] = value;
      continue;
    }
    isBehindPseudo = true;
    if (!isField(name, value)) return undefined;
    if (existing === undefined) headers[name] = value;
    else if (name === 'content-length') return undefined;
    else if (!SINGLE.has(name)) headers[name] = `${existing}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  const { ':method': method, ':scheme': scheme, ':path': path, 'content-length': length } = headers;
  if (method === undefined || scheme === undefined || path === undefined || path === '') return undefined;
  return length === undefined || /^\d{1,15}$/.test(length) ? headers : undefined;
}

const COLON = 58;

function isField(name: string, value: string): boolean {
  if (!NAME.test(name) || NO_VALUE.test(value) || CONNECTION_HEADERS.has(name)) return false;
  return name !== 'te' || value === 'trailers';
}
