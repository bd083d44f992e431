import { MAX_COMPLAINT_BYTES, type Answer } from './connection.ts';

const MAX_HEAD_BYTES = 65_536;
const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Reads HTTP/1.1 answers from the bytes of one connection, one request at a time (RFC 9112): bodies with a length, in chunks, or up to the end of the
 * connection. Throws for what is none.
 */
export class HttpAnswerReader {
  readonly #keepsBodies: boolean;
  /** Of the head, or of a chunk's line, that is not whole yet. */
  #rest = EMPTY;
  #head: Head | undefined;
  #left = 0;
  #bytes = 0;
  #kept: Buffer[] = [];
  #chunk: 'size' | 'data' | 'data end' | 'trailers' = 'size';
  /** The server closes the connection after the last answer. */
  isClosing = false;

  constructor(keepsBodies: boolean) {
    this.#keepsBodies = keepsBodies;
  }

  /** The answer, when `chunk` brings its end. */
  read(chunk: Buffer): Answer | undefined {
    let input = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = EMPTY;
    while (this.#head === undefined) {
      const end = input.indexOf(HEAD_END);
      if (end < 0) {
        if (input.length > MAX_HEAD_BYTES) throw new Error('no HTTP/1.1 answer');
        this.#rest = input;
        return undefined;
      }
      const head = readHead(input.toString('latin1', 0, end));
      input = input.subarray(end + HEAD_END.length);
      // 100 Continue and the like come before the answer.
      if (head.status < 200) continue;
      this.#head = head;
      this.#left = head.length ?? Infinity;
    }
    const isWhole = this.#head.isChunked ? this.#readChunks(input) : this.#readBody(input);
    return isWhole ? this.#finish() : undefined;
  }

  /** The answer, when the end of the connection is its end. */
  end(): Answer | undefined {
    const isEnded = this.#head !== undefined && this.#head.length === undefined && !this.#head.isChunked;
    return isEnded ? this.#finish() : undefined;
  }

  #readBody(input: Buffer): boolean {
    const taken = input.length <= this.#left ? input : input.subarray(0, this.#left);
    if (taken.length > 0) this.#keep(taken);
    this.#left -= taken.length;
    return this.#left === 0;
  }

  #readChunks(input: Buffer): boolean {
    let at = 0;
    for (;;) {
      if (this.#chunk === 'data') {
        const taken = input.subarray(at, at + this.#left);
        if (taken.length > 0) this.#keep(taken);
        this.#left -= taken.length;
        at += taken.length;
        if (this.#left > 0) return false;
        this.#chunk = 'data end';
      }
      const end = input.indexOf(LINE_END, at);
      if (end < 0) {
        this.#rest = input.subarray(at);
        if (this.#rest.length > MAX_HEAD_BYTES) throw new Error('no HTTP/1.1 answer');
        return false;
      }
      const line = input.toString('latin1', at, end);
      at = end + LINE_END.length;
      if (this.#chunk === 'trailers' && line === '') return true;
      if (this.#chunk === 'data end') this.#chunk = 'size';
      else if (this.#chunk === 'size') {
        this.#left = parseInt(line, 16);
        if (!(this.#left >= 0)) throw new Error('no HTTP/1.1 answer');
        this.#chunk = this.#left === 0 ? 'trailers' : 'data';
      }
    }
  }

  #keep(bytes: Buffer): void {
    const isWanted = this.#keepsBodies || (this.#head?.status !== 200 && this.#bytes < MAX_COMPLAINT_BYTES);
    if (isWanted) this.#kept.push(bytes);
    this.#bytes += bytes.length;
  }

  #finish(): Answer {
    const { status = 0, isClosing = true, headerLength } = this.#head ?? {};
    const [only] = this.#kept;
    const body = this.#kept.length === 0 ? undefined : this.#kept.length === 1 ? only : Buffer.concat(this.#kept);
    const answer = { failure: status === 200 ? undefined : `HTTP ${status}`, bytes: this.#bytes, body, headerLength };
    this.isClosing = isClosing;
    this.#head = undefined;
    this.#bytes = 0;
    this.#kept = [];
    this.#chunk = 'size';
    return answer;
  }
}

interface Head {
  readonly status: number;
  /** Of the body; undefined when the head does not tell. */
  readonly length: number | undefined;
  readonly isChunked: boolean;
  readonly isClosing: boolean;
  readonly headerLength: number | undefined;
}

function readHead(text: string): Head {
  const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(text)?.[1];
  if (status === undefined) throw new Error('no HTTP/1.1 answer');
  const hasNoBody = status === '204' || status === '304' || status.startsWith('1');
  const length = hasNoBody ? '0' : /\r\ncontent-length:[ \t]*(\d+)/i.exec(text)?.[1];
  const headerLength = /\r\ninference-header-content-length:[ \t]*(\d+)/i.exec(text)?.[1];
  const isChunked = !hasNoBody && /\r\ntransfer-encoding:[^\r]*\bchunked\b/i.test(text);
  return {
    status: Number(status),
    length: length === undefined ? undefined : Number(length),
    isChunked,
    isClosing: /\r\nconnection:[ \t]*close\b/i.test(text) || (text.startsWith('HTTP/1.0') && !/\r\nconnection:[ \t]*keep-alive\b/i.test(text)),
    headerLength: headerLength === undefined ? undefined : Number(headerLength),
  };
}
