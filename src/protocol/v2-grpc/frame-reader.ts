import { FRAME_HEADER_BYTES, frameFlag, frameLength } from '../../codec/index.ts';
import { invalidRequest, ServingError } from '../../core/errors.ts';
import { releaseBuffer, takeTail } from '../../core/release.ts';

/** Room made for a message at first: one that only announces its size takes no more. */
const FIRST_BYTES = 1 << 20;

/**
 * Puts messages together from the bytes of DATA frames, which cut them anywhere. A message that comes in one piece is a view of that piece; any other is
 * copied once, into memory of its own.
 */
export class FrameReader {
  readonly #maxBytes: number;
  readonly #onMessage: (message: Buffer, isCompressed: boolean) => void;
  /** The part of a header that has come. */
  #head: Buffer | undefined;
  #headLength = 0;
  /** The message under way. */
  #message: Buffer | undefined;
  #length = 0;
  #filled = 0;
  #isCompressed = false;

  /** `maxBytes` of a message as it travels; -1: no limit. */
  constructor(maxBytes: number, onMessage: (message: Buffer, isCompressed: boolean) => void) {
    this.#maxBytes = maxBytes;
    this.#onMessage = onMessage;
  }

  /** True in the middle of a message. */
  get isPartial(): boolean {
    return this.#message !== undefined || this.#headLength > 0;
  }

  /** Bytes that are kept for the message under way. */
  get heldBytes(): number {
    return this.#message?.length ?? 0;
  }

  /**
   * True when all of the chunk was copied: nothing refers to it. Throws invalid_request for what is no frame, payload_too_large for a message beyond the limit;
   * nothing may be pushed afterwards.
   */
  push(chunk: Buffer): boolean {
    let isCopied = true;
    let at = 0;
    while (at < chunk.length) {
      if (this.#message !== undefined) {
        at = this.#fill(chunk, at);
        continue;
      }
      const bodyAt = this.#readHead(chunk, at);
      if (bodyAt < 0) return isCopied;
      at = bodyAt;
      if (chunk.length - at >= this.#length) {
        const end = at + this.#length;
        isCopied = false;
        this.#onMessage(chunk.subarray(at, end), this.#isCompressed);
        at = end;
      } else {
        this.#message = roomFor(Math.min(this.#length, FIRST_BYTES));
        this.#filled = 0;
      }
    }
    return isCopied;
  }

  /** Where the body begins; -1 when the header goes on in the next chunk. */
  #readHead(chunk: Buffer, at: number): number {
    if (this.#headLength === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#begin(frameFlag(chunk, at), frameLength(chunk, at));
      return at + FRAME_HEADER_BYTES;
    }
    this.#head ??= Buffer.alloc(FRAME_HEADER_BYTES);
    const taken = Math.min(FRAME_HEADER_BYTES - this.#headLength, chunk.length - at);
    chunk.copy(this.#head, this.#headLength, at, at + taken);
    this.#headLength += taken;
    if (this.#headLength < FRAME_HEADER_BYTES) return -1;
    this.#headLength = 0;
    this.#begin(frameFlag(this.#head), frameLength(this.#head));
    return at + taken;
  }

  #begin(flag: number, length: number): void {
    if (flag > 1) throw invalidRequest(`Cannot read the message: expected compressed flag 0 or 1, got ${flag}`);
    if (this.#maxBytes >= 0 && length > this.#maxBytes) throw tooLarge(this.#maxBytes, `${length}`);
    this.#isCompressed = flag === 1;
    this.#length = length;
  }

  #fill(chunk: Buffer, at: number): number {
    let message = this.#message ?? chunk;
    const taken = Math.min(this.#length - this.#filled, chunk.length - at);
    if (this.#filled + taken > message.length) message = this.#grow(message, this.#filled + taken);
    chunk.copy(message, this.#filled, at, at + taken);
    this.#filled += taken;
    if (this.#filled === this.#length) {
      this.#message = undefined;
      this.#onMessage(message, this.#isCompressed);
    }
    return at + taken;
  }

  #grow(message: Buffer, needed: number): Buffer {
    const grown = roomFor(Math.min(this.#length, Math.max(needed, message.length * 4)));
    message.copy(grown, 0, 0, this.#filled);
    releaseBuffer(message.buffer);
    this.#message = grown;
    return grown;
  }
}

/** Large ones at the end of a buffer of their own, so that a tensor that ends with the message is aligned. */
function roomFor(bytes: number): Buffer {
  const { buffer, byteOffset, byteLength } = takeTail(bytes);
  return Buffer.from(buffer, byteOffset, byteLength);
}

export function tooLarge(maxBytes: number, got: string): ServingError {
  return new ServingError(
    'payload_too_large',
    `Cannot read the message: expected at most ${maxBytes} bytes (--grpc_max_receive_message_length), got ${got}`,
  );
}
