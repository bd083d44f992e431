import { MalformedAnswer, type BodyFraming } from './http-head.ts';

const LINE_FEED = 10;
const MAX_LINE_CHARACTERS = 4096;
const MAX_TRAILERS = 100;

/** Takes a body out of what a connection brings, in place: chunk sizes and what else stands between are overwritten. */
export class BodyDecoder {
  isDone: boolean;
  /** Bytes came behind the end of the body; nothing more can be read from that connection. */
  hasSurplus = false;
  readonly #framing: BodyFraming;
  /** Of the body, or of the chunk that is being read. */
  #left: number;
  #line = '';
  #expects: 'size' | 'end of chunk' | 'trailer' = 'size';
  #trailers = 0;

  constructor(framing: BodyFraming) {
    this.#framing = framing;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
    this.isDone = framing.kind === 'length' && framing.bytes === 0;
  }

  /** What arrived stands at `from` to `to - 1`; how many bytes of the body stand at `from` afterwards. */
  decode(buffer: Buffer, from: number, to: number): number {
    switch (this.#framing.kind) {
      case 'until close':
        return to - from;
      case 'length': {
        const bytes = Math.min(this.#left, to - from);
        this.#left -= bytes;
        this.isDone = this.#left === 0;
        this.hasSurplus = bytes < to - from;
        return bytes;
      }
      case 'chunked':
        return this.#decodeChunks(buffer, from, to);
    }
  }

  /** The connection ended; true when that ends the body, too. */
  endsWithConnection(): boolean {
    if (this.#framing.kind === 'until close') this.isDone = true;
    return this.isDone;
  }

  #decodeChunks(buffer: Buffer, from: number, to: number): number {
    let end = from;
    let at = from;
    while (at < to && !this.isDone) {
      if (this.#left > 0) {
        const bytes = Math.min(this.#left, to - at);
        buffer.copyWithin(end, at, at + bytes);
        end += bytes;
        at += bytes;
        this.#left -= bytes;
        continue;
      }
      const byte = buffer[at++] ?? 0;
      if (byte === LINE_FEED) {
        const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
        this.#line = '';
        this.#endLine(line);
      } else {
        this.#line += String.fromCharCode(byte);
        if (this.#line.length > MAX_LINE_CHARACTERS) throw new MalformedAnswer('a line between chunks is too long');
      }
    }
    this.hasSurplus = at < to;
    return end - from;
  }

  #endLine(line: string): void {
    switch (this.#expects) {
      case 'size': {
        const digits = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
        if (digits === undefined) throw new MalformedAnswer(`the size of a chunk is ${JSON.stringify(line.slice(0, 40))}`);
        this.#left = parseInt(digits, 16);
        this.#expects = this.#left === 0 ? 'trailer' : 'end of chunk';
        return;
      }
      case 'end of chunk':
        if (line !== '') throw new MalformedAnswer('a chunk is longer than its size');
        this.#expects = 'size';
        return;
      case 'trailer':
        if (line === '') this.isDone = true;
        else if (++this.#trailers > MAX_TRAILERS) throw new MalformedAnswer('the answer has too many trailers');
    }
  }
}
