import type { ServerHttp2Session } from 'node:http2';
import { releaseBuffer } from '../../core/release.ts';

const FRAME_HEADER_BYTES = 9;

/** What its connection knows of a stream whose answer is not out yet. */
export interface OpenCall {
  /** Where it stands among the connection's calls; the connection's to set. */
  slot: number;
  /** Called about once a second: gives up what has stopped moving. */
  watch(now: number): void;
}

/** A client's HTTP/2 connection and the calls under way on it. */
export class Http2Connection {
  readonly session: ServerHttp2Session;
  readonly openedAt = performance.now();
  /** Memory of messages that are still arriving, and of answers that the client has not taken yet. */
  heldBytes = 0;
  /** The client has said what it can do: it speaks HTTP/2. */
  isGreeted = false;
  /** When the unanswered ping was sent; 0 without one. */
  pingedAt = 0;
  heardAt = this.openedAt;
  isLeaving = false;
  readonly calls: OpenCall[] = [];

  constructor(session: ServerHttp2Session) {
    this.session = session;
  }

  /** What the socket gave last, as far as large messages go. */
  #read: ArrayBufferLike | undefined;
  /** Bytes in it that nobody has copied, beside the header of its first frame. */
  #unread = 0;

  /**
   * Gives back what the socket read, once all of it was copied: much of it would wait for the collector. Node reads into a buffer of its own each time, and hands out
   * the DATA frames in it as views:
   *
   *     read | rest of a frame | header | frame | header | frame … |
   *
   * A frame of another stream takes a header and a byte at least, so that no more than a header left over means that nothing else is in it. Only when the next
   * read has come: until then Node still looks at this one. `goesOn`: more of the message is to come.
   */
  took(chunk: Uint8Array, isCopied: boolean, goesOn: boolean): void {
    const { buffer } = chunk;
    if (buffer !== this.#read) {
      if (this.#read !== undefined && this.#unread <= FRAME_HEADER_BYTES) releaseBuffer(this.#read);
      this.#read = buffer;
      this.#unread = buffer.byteLength + FRAME_HEADER_BYTES;
    }
    if (isCopied) this.#unread -= chunk.byteLength + FRAME_HEADER_BYTES;
    if (!goesOn) this.#read = undefined;
  }

  began(call: OpenCall): void {
    call.slot = this.calls.length;
    this.calls.push(call);
  }

  /** The last takes the place of the one that has gone: searching costs more with many. */
  ended(call: OpenCall): void {
    const last = this.calls.pop();
    if (last === undefined || last === call) return;
    last.slot = call.slot;
    this.calls[call.slot] = last;
  }
}
