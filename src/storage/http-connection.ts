import type { Socket } from 'node:net';
import type { BufferPool } from './buffer-pool.ts';
import { BodyDecoder } from './http-body.ts';
import { MalformedAnswer, parseHead, type AnswerHead, type HttpMethod } from './http-head.ts';

const MAX_HEAD_BYTES = 48 * 1024;
/** Full buffers of a connection that wait for their reader; the socket rests meanwhile. */
const MAX_WAITING = 2;

/** How a socket is to deliver what it reads: into buffers that it is given, and without events. */
export interface SocketReads {
  readonly buffer: () => Uint8Array;
  readonly callback: (bytes: number) => boolean;
}

export interface Exchange {
  readonly head: Promise<AnswerHead>;
  readonly body: AnswerBody;
}

/**
 * One HTTP/1.1 connection, one exchange at a time. node:http copies each 64 KiB into a buffer of its own, twice; here the kernel writes into the
 * buffer that goes to disk.
 *
 *     buffer   ...head... | body bytes, decoded | room for the next read
 *                         #from                 #to
 */
export class HttpConnection {
  readonly socket: Socket;
  readonly #buffers: BufferPool;
  #buffer: Buffer<ArrayBuffer>;
  #from = 0;
  #to = 0;
  #current: CurrentExchange | undefined;
  #isPaused = false;
  #hasAnswered = false;

  constructor(open: (reads: SocketReads) => Socket, buffers: BufferPool) {
    this.#buffers = buffers;
    this.#buffer = buffers.take();
    this.socket = open({
      buffer: () => this.#buffer.subarray(this.#to),
      callback: (bytes) => this.#receive(bytes),
    });
    this.socket.on('error', (error) => {
      this.#fail(error);
    });
    const onEnd = (): void => {
      this.#end();
    };
    this.socket.on('end', onEnd).once('close', () => {
      onEnd();
      this.#buffers.give(this.#buffer);
    });
  }

  /** Nothing has come on it yet: a request that fails may have met a connection that the store had closed already. */
  get isSilent(): boolean {
    return !this.#hasAnswered;
  }

  /** `request` is all of it: line, headers and the empty line. `onFree` tells that the body is whole and whether another request may follow. */
  exchange(request: string, method: HttpMethod, onBytes: () => void, onFree: (isReusable: boolean) => void): Exchange {
    const body = new AnswerBody(this.#buffers, {
      more: () => {
        this.#resume();
      },
      stop: () => {
        this.destroy();
      },
    });
    this.#hasAnswered = false;
    const head = new Promise<AnswerHead>((resolve, reject) => {
      this.#current = { method, body, onBytes, onFree, onHead: resolve, onFailure: reject, decoder: undefined, keeps: false };
    });
    this.socket.write(request, 'latin1');
    return { head, body };
  }

  /** Ends what is going on with this error. */
  destroy(error?: Error): void {
    if (error !== undefined) this.#fail(error);
    this.socket.destroy();
  }

  #receive(bytes: number): boolean {
    const current = this.#current;
    if (current === undefined) {
      // Nobody asked.
      this.socket.destroy();
      return true;
    }
    this.#hasAnswered = true;
    current.onBytes();
    try {
      this.#take(current, bytes);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
    return !this.#isPaused;
  }

  #take(current: CurrentExchange, bytes: number): void {
    let from = this.#to;
    let to = from + bytes;
    while (current.decoder === undefined) {
      const end = this.#buffer.indexOf('\r\n\r\n', this.#from, 'latin1');
      if (end < 0 || end + 4 > to) {
        if (to - this.#from > MAX_HEAD_BYTES) throw new MalformedAnswer(`the answer has more than ${MAX_HEAD_BYTES} bytes of headers`);
        this.#to = to;
        return;
      }
      const head = parseHead(this.#buffer.toString('latin1', this.#from, end), current.method);
      this.#from = from = end + 4;
      // 1xx comes before the answer proper.
      if (head.status < 200) continue;
      current.decoder = new BodyDecoder(head.framing);
      current.keeps = head.keepsConnection;
      current.onHead(head);
    }
    const { decoder } = current;
    if (to > from) to = from + decoder.decode(this.#buffer, from, to);
    this.#to = to;
    if (decoder.isDone) this.#complete(current);
    else if (this.#to === this.#buffer.length) this.#handOver(current);
  }

  #handOver({ body }: CurrentExchange): void {
    if (this.#to > this.#from) {
      body.push(this.#buffer.subarray(this.#from, this.#to));
      this.#buffer = this.#buffers.take();
    }
    this.#from = 0;
    this.#to = 0;
    if (body.waiting >= MAX_WAITING) this.#isPaused = true;
  }

  #complete(current: CurrentExchange): void {
    this.#handOver(current);
    this.#current = undefined;
    this.#isPaused = false;
    current.body.end(undefined);
    const isReusable = current.keeps && current.decoder?.hasSurplus === false;
    if (!isReusable) this.socket.destroy();
    current.onFree(isReusable);
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.socket.resume();
  }

  #end(): void {
    const current = this.#current;
    if (current?.decoder?.endsWithConnection() === true) this.#complete(current);
    else this.#fail(new Error('premature close'));
    this.socket.destroy();
  }

  /** What arrived before a failure is right and is read first. */
  #fail(error: Error): void {
    const current = this.#current;
    if (current === undefined) return;
    if (current.decoder !== undefined) this.#handOver(current);
    this.#current = undefined;
    current.onFailure(error);
    current.body.end(error);
    current.onFree(false);
  }
}

interface CurrentExchange {
  readonly method: HttpMethod;
  readonly body: AnswerBody;
  readonly onBytes: () => void;
  readonly onFree: (isReusable: boolean) => void;
  readonly onHead: (head: AnswerHead) => void;
  readonly onFailure: (error: Error) => void;
  decoder: BodyDecoder | undefined;
  keeps: boolean;
}

/** A body as it arrives. A chunk is its reader's until the next one is asked for; then its memory is used again. */
export class AnswerBody {
  readonly #buffers: BufferPool;
  readonly #connection: { more(): void; stop(): void };
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  #outcome: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(buffers: BufferPool, connection: { more(): void; stop(): void }) {
    this.#buffers = buffers;
    this.#connection = connection;
  }

  get waiting(): number {
    return this.#chunks.length;
  }

  push(chunk: Uint8Array<ArrayBuffer>): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(error: Error | undefined): void {
    this.#outcome = { error };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          try {
            yield chunk;
          } finally {
            this.#buffers.give(chunk);
          }
          this.#connection.more();
        } else if (this.#outcome !== undefined) {
          if (this.#outcome.error !== undefined) throw this.#outcome.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.discard();
    }
  }

  /** Nobody reads the rest. */
  discard(): void {
    if (this.#outcome === undefined) this.#connection.stop();
    for (const chunk of this.#chunks.splice(0)) this.#buffers.give(chunk);
  }
}
