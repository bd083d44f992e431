import type { OnReadOpts } from 'node:net';
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

/** A stream, or how to open one that reads to where it is told: its bytes come without a copy, and without a fresh buffer for each read. */
export type FrameStream = Duplex | ((onread: OnReadOpts) => Duplex);

/**
 * Frames over one end of a stream. Memory is bounded by what may be in flight: requests and replies by the model's capacity, logs by their writer.
 * The child's side (`pausesWhenFull`) also reads nothing while the parent does not take its replies; the parent always reads, so neither waits
 * for the other for ever.
 */
export class Channel {
  readonly #stream: Duplex;
  readonly #writer: GatheredWriter;

  constructor(source: FrameStream, handlers: ChannelHandlers, options: { readonly pausesWhenFull: boolean }) {
    const reader = new FrameReader((frame) => {
      handlers.take(frame);
    });
    let isBroken = false;
    const read = (work: () => void): boolean => {
      if (isBroken) return false;
      try {
        work();
      } catch (error) {
        isBroken = true;
        handlers.fail(error);
      }
      return !isBroken;
    };
    const stream = typeof source === 'function' ? source(directRead(reader, read)) : source;
    if (typeof source !== 'function')
      stream.on('data', (chunk: Uint8Array) =>
        read(() => {
          reader.push(chunk);
        }),
      );
    this.#stream = stream;
    this.#writer = new GatheredWriter(stream, options.pausesWhenFull ? pauseWhileFull.bind(undefined, stream) : undefined);
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
   * Requests and replies of one turn of the event loop leave in one write; whatever else is said, and tensors that were not copied, at once. Those must stay
   * untouched until `written` is called; where all were copied, it is not. Does nothing once the stream is closed. Throws ServingError payload_too_large.
   */
  send(kind: FrameKind, model: number, request: number, metadata: unknown, tensors?: readonly Uint8Array[], written?: () => void): void {
    const chunks = encodeFrame({ kind, model, request }, metadata, tensors);
    for (const chunk of chunks) this.#writer.push(chunk);
    if (chunks.length > 1) this.#writer.flush(written);
    else if (kind !== 'run' && kind !== 'reply') this.#writer.flush();
  }

  close(): void {
    this.#stream.destroy();
  }
}

function directRead(reader: FrameReader, read: (work: () => void) => boolean): OnReadOpts {
  return {
    buffer: () => reader.room(),
    callback: (count, room) =>
      read(() => {
        reader.filled(count, room);
      }),
  };
}

function pauseWhileFull(stream: Duplex): void {
  if (!stream.writableNeedDrain || stream.isPaused()) return;
  stream.pause();
  stream.once('drain', () => {
    stream.resume();
  });
}
