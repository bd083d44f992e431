import type { Duplex } from 'node:stream';
import { GatheredWriter } from '../core/gathered-writer.ts';
import { encodeFrame, FrameReader, type Frame, type FrameKind } from './frame.ts';

export interface ChannelHandlers {
  take(frame: Frame): void;
  /** The bytes are not frames (ServingError), or the stream failed; nothing more is read. */
  fail(error: unknown): void;
  /** The other side is gone. */
  end(): void;
}

/**
 * Frames over one end of a stream. Memory is bounded by what may be in flight: requests and replies by the model's capacity, logs by their writer.
 * The child's side (`pausesWhenFull`) also reads nothing while the parent does not take its replies; the parent always reads, so neither waits
 * for the other for ever.
 */
export class Channel {
  readonly #stream: Duplex;
  readonly #writer: GatheredWriter;

  constructor(stream: Duplex, handlers: ChannelHandlers, options: { readonly pausesWhenFull: boolean }) {
    this.#stream = stream;
    this.#writer = new GatheredWriter(stream, options.pausesWhenFull ? () => pauseWhileFull(stream) : undefined);
    const reader = new FrameReader();
    const take = (frame: Frame): void => {
      handlers.take(frame);
    };
    const read = (chunk: Uint8Array): void => {
      try {
        reader.push(chunk, take);
      } catch (error) {
        stream.off('data', read);
        handlers.fail(error);
      }
    };
    stream.on('data', read);
    stream.on('error', (error) => {
      handlers.fail(error);
    });
    stream.once('close', () => {
      handlers.end();
    });
  }

  /** Bytes that the other side has not taken yet. */
  get backlogBytes(): number {
    return this.#writer.backlogBytes;
  }

  /**
   * Requests and replies of one turn of the event loop leave in one write; whatever else is said, and tensors that were not copied, at once. Tensors must stay
   * untouched until written. Does nothing once the stream is closed. Throws ServingError payload_too_large.
   */
  send(kind: FrameKind, model: number, request: number, metadata: unknown, tensors?: readonly Uint8Array[]): void {
    const chunks = encodeFrame({ kind, model, request }, metadata, tensors);
    for (const chunk of chunks) this.#writer.push(chunk);
    if (chunks.length > 1 || (kind !== 'run' && kind !== 'reply')) this.#writer.flush();
  }

  close(): void {
    this.#stream.destroy();
  }
}

function pauseWhileFull(stream: Duplex): void {
  if (!stream.writableNeedDrain || stream.isPaused()) return;
  stream.pause();
  stream.once('drain', () => {
    stream.resume();
  });
}
