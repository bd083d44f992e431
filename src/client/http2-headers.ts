import { decodeHeaderBlock, FrameFlag, HTTP2_HEAD_BYTES } from '../codec/index.ts';

const MOST_HEADER_BYTES = 65_536;
/** Blocks known by heart, and how long they may be: answers mostly begin and end alike. */
const MOST_KNOWN_BLOCKS = 64;
const LONGEST_KNOWN_BLOCK = 256;

export type TakeHeaders = (stream: number, headers: readonly string[], isEnd: boolean) => void;

/** Puts header blocks together and decodes them. Throws Error or ServingError on what ends the connection. */
export class Http2Headers {
  readonly #give: TakeHeaders;
  readonly #known = new Map<string, readonly string[]>();
  #open: { readonly stream: number; readonly isEnd: boolean; readonly parts: Buffer[]; bytes: number } | undefined;

  /** `give`: names and values in turn, the same array for blocks of the same bytes. */
  constructor(give: TakeHeaders) {
    this.#give = give;
  }

  /** A block goes on in CONTINUATION, and nothing else may come before. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  takeHeaders(flags: number, stream: number, payload: Buffer): void {
    const part = unpadded(flags, payload, (flags & FrameFlag.priority) === 0 ? 0 : 5);
    const isEnd = (flags & FrameFlag.endStream) !== 0;
    if ((flags & FrameFlag.endHeaders) !== 0) this.#give(stream, this.#decode(part), isEnd);
    else this.#open = { stream, isEnd, parts: [part], bytes: part.length };
  }

  takeContinuation(flags: number, stream: number, payload: Buffer): void {
    const open = this.#open;
    if (open?.stream !== stream) throw new Error('CONTINUATION of nothing');
    open.parts.push(payload);
    // Empty ones count, too.
    open.bytes += payload.length + HTTP2_HEAD_BYTES;
    if (open.bytes > MOST_HEADER_BYTES) throw new Error(`headers are longer than ${MOST_HEADER_BYTES} bytes`);
    if ((flags & FrameFlag.endHeaders) === 0) return;
    this.#open = undefined;
    this.#give(stream, decodeHeaderBlock(Buffer.concat(open.parts)), open.isEnd);
  }

  #decode(block: Buffer): readonly string[] {
    if (block.length > LONGEST_KNOWN_BLOCK) return decodeHeaderBlock(block);
    const key = block.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const headers = decodeHeaderBlock(block);
    if (this.#known.size >= MOST_KNOWN_BLOCKS) this.#known.clear();
    this.#known.set(key, headers);
    return headers;
  }
}

/** The payload without padding and the `before` bytes of priority (RFC 9113 sections 6.1 and 6.2). */
export function unpadded(flags: number, payload: Buffer, before: number): Buffer {
  const isPadded = (flags & FrameFlag.padded) !== 0;
  if (!isPadded && before === 0) return payload;
  const from = before + (isPadded ? 1 : 0);
  const to = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (from > to) throw new Error('padding is longer than its frame');
  return payload.subarray(from, to);
}
