import type { Socket } from 'node:net';
import { HTTP2_FRAME_BYTES, Http2FrameReader, type TakeHttp2Frame } from '../../codec/index.ts';
import { GatheredWriter } from '../../core/gathered-writer.ts';
import { releaseBuffer } from '../../core/release.ts';
import { PrefaceReader } from './frame-rules.ts';

/** What hears of a connection's socket. */
export interface WireListener {
  /** Throws what ends the connection. `payload` is in the socket's memory: whoever keeps it says so by `isKept`. */
  readonly frame: TakeHttp2Frame;
  readonly failed: (thrown: unknown) => void;
  /** All that was pushed went into one write. */
  readonly written: () => void;
  /** The kernel has the oldest write that it did not have before, or never will. */
  readonly taken: () => void;
  readonly gone: () => void;
}

/** A client that takes nothing of what it asks for is not read any further. */
const MOST_BACKLOG_BYTES = 1 << 21;

/** How long a connection that has ended takes what still comes, so that the kernel does not throw away what the client was sent last. */
const LINGER_MS = 1000;

/** Frames out of a socket and bytes into it. Owns the socket. */
export class Wire {
  readonly writer: GatheredWriter;
  /** Something still refers to the chunk that is being read. */
  isKept = false;
  heardAt = performance.now();
  readonly #socket: Socket;
  #isEnded = false;

  constructor(socket: Socket, { frame, failed, written, taken, gone }: WireListener) {
    this.#socket = socket;
    this.writer = new GatheredWriter(socket, written, () => {
      if (socket.isPaused()) socket.resume();
      taken();
    });
    const preface = new PrefaceReader();
    const frames = new Http2FrameReader(HTTP2_FRAME_BYTES, true);
    socket.on('data', (chunk: Buffer) => {
      if (this.#isEnded) return;
      this.heardAt = performance.now();
      this.isKept = false;
      try {
        const rest = preface.read(chunk);
        if (rest !== undefined) frames.push(rest, frame);
      } catch (thrown) {
        failed(thrown);
        return;
      }
      this.#giveBack(chunk);
    });
    const destroy = (): void => {
      socket.destroy();
    };
    socket.on('end', destroy);
    socket.on('error', destroy);
    socket.on('close', gone);
    socket.resume();
  }

  /** A client that reads nothing is not read, either, until it does. */
  holdBack(): void {
    if (this.writer.backlogBytes >= MOST_BACKLOG_BYTES) this.#socket.pause();
  }

  /** Nothing is heard any more; the client closes the connection, or has it closed. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const socket = this.#socket;
    this.writer.flush();
    socket.end();
    socket.resume();
    const timer = setTimeout(() => {
      socket.destroy();
    }, LINGER_MS);
    socket.once('close', () => {
      clearTimeout(timer);
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Much of it would wait for the collector. */
  #giveBack(chunk: Buffer): void {
    if (!this.isKept && chunk.length === chunk.buffer.byteLength) releaseBuffer(chunk.buffer);
  }
}
