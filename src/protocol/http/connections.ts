import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Connection } from './connection.ts';
import type { HttpExchange } from './exchange.ts';

/** All open connections. Tells exchanges when their client has left, and the front end when the last reply is out. */
export class Connections {
  readonly #bySocket = new Map<Duplex, Connection>();
  readonly #watchMs: number;
  #watching: NodeJS.Timeout | undefined;
  #active = 0;
  #onQuiet: (() => void) | undefined;

  /** `stallTimeoutMs`: how long a body or a reply may stand still. One timer looks after all of them: one per request costs more than the rest of reading it. */
  constructor(stallTimeoutMs: number) {
    this.#watchMs = Math.min(1000, Math.max(10, stallTimeoutMs / 4));
  }

  open(socket: Socket): void {
    const connection: Connection = { socket, exchanges: [], isClosing: false };
    this.#bySocket.set(socket, connection);
    this.#watching ??= setInterval(this.#watch, this.#watchMs).unref();
    socket.once('close', () => {
      this.#bySocket.delete(socket);
      leaveAll(connection);
      if (this.#bySocket.size === 0) this.#stopWatching();
    });
  }

  /** Somebody else looks after the connection from now on: it does not speak HTTP/1.1. */
  forget(socket: Socket): void {
    this.#bySocket.delete(socket);
  }

  of(socket: Duplex): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  began(exchange: HttpExchange): void {
    this.#active++;
    exchange.connection.exchanges.push(exchange);
  }

  ended(exchange: HttpExchange): void {
    this.#active--;
    const { connection } = exchange;
    const at = connection.exchanges.indexOf(exchange);
    if (at >= 0) connection.exchanges.splice(at, 1);
    if (connection.isClosing && connection.exchanges.length === 0) connection.socket.destroySoon();
    if (this.#active === 0) this.#onQuiet?.();
  }

  /** Resolves when nothing is in flight. One caller, who bounds the wait. */
  async quiet(): Promise<void> {
    if (this.#active === 0) return;
    await new Promise<void>((resolve) => (this.#onQuiet = resolve));
  }

  closeIdle(): void {
    for (const { socket, exchanges } of this.#bySocket.values()) if (exchanges.length === 0) socket.destroySoon();
  }

  destroyAll(): void {
    for (const connection of this.#bySocket.values()) {
      connection.socket.destroy();
      leaveAll(connection);
    }
  }

  readonly #watch = (): void => {
    const now = performance.now();
    for (const { exchanges } of this.#bySocket.values()) for (const exchange of exchanges) exchange.watch(now);
  };

  #stopWatching(): void {
    clearInterval(this.#watching);
    this.#watching = undefined;
  }
}

function leaveAll({ exchanges }: Connection): void {
  for (const exchange of [...exchanges]) exchange.leave();
}
