import { connect, type Socket } from 'node:net';

export interface RawReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A client that sends exactly the bytes it is told to, for what well-behaved clients cannot say. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves when the server has closed the connection, with whatever came that was no complete reply. */
  readonly closed: Promise<string>;
  #received = Buffer.alloc(0);
  #onData: () => void = () => undefined;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#onData();
    });
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        this.socket.destroy();
        this.#onData();
        resolve(this.#received.toString('latin1'));
      };
      this.socket.once('end', end);
      this.socket.once('close', end);
    });
  }

  send(data: string | Uint8Array): this {
    this.socket.write(data);
    return this;
  }

  /** The next complete reply; rejects when the connection closes before. */
  async reply(): Promise<RawReply> {
    for (;;) {
      const reply = this.#take();
      if (reply !== undefined) return reply;
      if (this.socket.destroyed) throw new Error(`connection closed after ${JSON.stringify(this.#received.toString('latin1'))}`);
      await new Promise<void>((resolve) => (this.#onData = resolve));
    }
  }

  #take(): RawReply | undefined {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return undefined;
    const [statusLine = '', ...lines] = this.#received.subarray(0, headEnd).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const end = headEnd + 4 + Number(headers['content-length'] ?? 0);
    if (this.#received.byteLength < end) return undefined;
    const body = this.#received.subarray(headEnd + 4, end).toString('utf8');
    this.#received = this.#received.subarray(end);
    return { status: Number(statusLine.split(' ')[1]), headers, body };
  }
}

export function head(method: string, path: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries({ host: 'test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
