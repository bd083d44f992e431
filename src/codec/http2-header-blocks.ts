import { ErrorCode, FrameFlag, Http2Error, HTTP2_HEAD_BYTES, unpadded } from './http2-frame.ts';

/** The whole block of HEADERS and its CONTINUATIONs; what of it must last is copied. */
export type TakeHeaderBlock = (stream: number, block: Buffer, isEnd: boolean) => void;

/** Puts header blocks together (RFC 9113 section 4.3). Throws Http2Error on what ends the connection. */
export class Http2HeaderBlocks {
  readonly #maxBytes: number;
  readonly #give: TakeHeaderBlock;
  #open: { readonly stream: number; readonly isEnd: boolean; readonly parts: Buffer[]; bytes: number } | undefined;

  /** `maxBytes` of a block as it travels. */
  constructor(maxBytes: number, give: TakeHeaderBlock) {
    this.#maxBytes = maxBytes;
    this.#give = give;
  }

  /** A block goes on in CONTINUATION, and nothing else may come before. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  takeHeaders(flags: number, stream: number, payload: Buffer): void {
    const part = unpadded(flags, payload, (flags & FrameFlag.priority) === 0 ? 0 : 5);
    const isEnd = (flags & FrameFlag.endStream) !== 0;
    if (part.length > this.#maxBytes) throw this.#tooLong();
    if ((flags & FrameFlag.endHeaders) !== 0) this.#give(stream, part, isEnd);
    else this.#open = { stream, isEnd, parts: [part], bytes: part.length };
  }

  takeContinuation(flags: number, stream: number, payload: Buffer): void {
    const open = this.#open;
    if (open?.stream !== stream) throw new Http2Error('CONTINUATION of nothing');
    open.parts.push(payload);
    // Empty ones count, too.
    open.bytes += payload.length + HTTP2_HEAD_BYTES;
    if (open.bytes > this.#maxBytes) throw this.#tooLong();
    if ((flags & FrameFlag.endHeaders) === 0) return;
    this.#open = undefined;
    this.#give(stream, Buffer.concat(open.parts), open.isEnd);
  }

  #tooLong(): Http2Error {
    return new Http2Error(`headers are longer than ${this.#maxBytes} bytes`, ErrorCode.enhanceYourCalm);
  }
}
