import { ErrorCode, HTTP2_MAX, Http2Error } from '../../codec/index.ts';
import { MAX_STREAMS } from './settings.ts';
import type { ServerStream } from './stream.ts';

/** Streams that were reset here: what the client sent before it knew is no fault of its. */
const MOST_REMEMBERED = 256;

/** Resets at once, and how many more each second: as nghttp2 has it. */
const MOST_RESETS = 1000;
const RESETS_PER_SECOND = 33;

/** The streams of a connection: which are under way, which may follow, which are over (RFC 9113 section 5.1). */
export class StreamTable {
  newestId = 0;
  /** Streams beyond it are refused. */
  lastId = HTTP2_MAX;
  readonly #open = new Map<number, ServerStream>();
  readonly #remembered = new Set<number>();
  #resets = MOST_RESETS;
  #resetAt = 0;

  get size(): number {
    return this.#open.size;
  }

  get(id: number): ServerStream | undefined {
    return this.#open.get(id);
  }

  values(): Iterable<ServerStream> {
    return this.#open.values();
  }

  /** Whether the client may open one more. */
  hasRoomFor(id: number): boolean {
    return id <= this.lastId && this.#open.size < MAX_STREAMS;
  }

  add(stream: ServerStream): void {
    this.#open.set(stream.id, stream);
  }

  delete(stream: ServerStream): void {
    this.#open.delete(stream.id);
  }

  remember(id: number): void {
    this.#remembered.add(id);
    if (this.#remembered.size <= MOST_REMEMBERED) return;
    const [oldest] = this.#remembered;
    if (oldest !== undefined) this.#remembered.delete(oldest);
  }

  /** A frame came of a stream that is not open. Throws Http2Error unless it was on its way when the stream was reset. */
  checkLate(id: number): void {
    this.checkKnown(id);
    if (!this.#remembered.has(id)) throw new Http2Error(`stream ${id} is closed`, ErrorCode.streamClosed);
  }

  checkKnown(id: number): void {
    if (id > this.newestId) throw new Http2Error(`stream ${id} is idle`);
  }

  /** A reset costs a client nothing, and the server the work that it began (CVE-2023-44487, CVE-2025-8671). Throws Http2Error when it has too many. */
  countReset(now: number): void {
    this.#resets = Math.min(MOST_RESETS, this.#resets + ((now - this.#resetAt) * RESETS_PER_SECOND) / 1000) - 1;
    this.#resetAt = now;
    if (this.#resets < 0) throw new Http2Error('too many streams were reset', ErrorCode.enhanceYourCalm);
  }
}
