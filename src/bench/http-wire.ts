import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { nameFailure, type Answer, type Lane, type Wire } from './connection.ts';
import { HttpAnswerReader } from './http-answer.ts';

/**
 * HTTP/1.1 by hand over one kept connection a lane: messages are whole requests, made before the load, and of an answer only what is needed is read.
 * A general client costs several times as much processor time, which on a small machine is missing to the server that is measured.
 */
export function createHttpWire(url: URL): Wire {
  return {
    openLane: (keepsBodies) => new HttpLane(url, keepsBodies),
    close: () => undefined,
  };
}

/** The request as bytes. `path` is the whole of it, query included. */
export function encodeHttpRequest(url: URL, path: string, headers: Readonly<Record<string, string | number>>, chunks: readonly Uint8Array[]): Buffer {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = { host: url.host, 'user-agent': 'kserve-node-bench', ...headers, 'content-length': length };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), ...chunks]);
}

class HttpLane implements Lane {
  readonly #url: URL;
  readonly #keepsBodies: boolean;
  #socket: Socket | undefined;
  #reader: HttpAnswerReader;
  #done: ((answer: Answer) => void) | undefined;

  constructor(url: URL, keepsBodies: boolean) {
    this.#url = url;
    this.#keepsBodies = keepsBodies;
    this.#reader = new HttpAnswerReader(keepsBodies);
  }

  send(message: Buffer, done: (answer: Answer) => void): void {
    this.#done = done;
    this.#socket ??= this.#open();
    this.#socket.write(message);
  }

  abort(failure: string): void {
    this.#fail(failure);
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    const { hostname, protocol, port } = this.#url;
    const host = hostname.replace(/^\[|\]$/g, '');
    const isTls = protocol === 'https:';
    const options = { host, port: port === '' ? (isTls ? 443 : 80) : Number(port), noDelay: true };
    const socket = isTls ? connectTls({ ...options, servername: /^[\d.]+$|:/.test(host) ? '' : host }) : connect(options);
    this.#reader = new HttpAnswerReader(this.#keepsBodies);
    socket.on('data', (chunk: Buffer) => {
      if (socket === this.#socket) this.#take(chunk);
    });
    socket.on('error', (error) => {
      if (socket === this.#socket) this.#fail(nameFailure(error));
    });
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      // An answer without a length ends with its connection.
      const last = this.#reader.end();
      this.#socket = undefined;
      if (last !== undefined) this.#settle(last);
      else this.#fail('connection lost');
    });
    return socket;
  }

  #take(chunk: Buffer): void {
    let answer: Answer | undefined;
    try {
      answer = this.#reader.read(chunk);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
      return;
    }
    if (answer === undefined) return;
    // An answer that nobody asked for belongs to no request.
    if (this.#done === undefined || this.#reader.isClosing) this.close();
    this.#settle(answer);
  }

  #settle(answer: Answer): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(answer);
  }

  #fail(failure: string): void {
    this.close();
    const done = this.#done;
    this.#done = undefined;
    if (done !== undefined) setImmediate(done, { failure, bytes: 0 });
  }
}
