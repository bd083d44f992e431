import type { Socket } from 'node:net';
import type { Logger } from '../../core/context.ts';
import { Http2Connection, type StreamHandler } from './connection.ts';

export interface Http2Options {
  /** Largest head of a request, as HTTP/2 counts it; streams with larger ones are reset. */
  readonly maxHeaderBytes: number;
  /** Longest wait for a client's first frames. */
  readonly headerTimeoutMs: number;
}

/** A peer that vanished without closing its connection is found out after a minute and a half. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const SWEEP_MS = 1000;

/** How long after the announcement of the end streams are still taken: more than a round trip. */
const ANNOUNCED_FOR_MS = 100;

/** Open HTTP/2 connections: who listens hands their sockets over, `handle` takes each stream. */
export class Http2Connections {
  readonly #open = new Set<Http2Connection>();
  readonly #options: Http2Options;
  readonly #handle: StreamHandler;
  readonly #log: Logger;
  readonly #sweepMs: number;
  #sweeping: NodeJS.Timeout | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: Http2Options, deps: { readonly handle: StreamHandler; readonly log: Logger }) {
    this.#options = options;
    this.#handle = deps.handle;
    this.#log = deps.log;
    this.#sweepMs = Math.min(SWEEP_MS, Math.max(10, options.headerTimeoutMs / 4));
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes the socket over, with what was read of it and put back. */
  accept(socket: Socket): void {
    const { maxHeaderBytes } = this.#options;
    const connection = new Http2Connection(socket, { maxHeaderBytes, handle: this.#handle, log: this.#log, gone: this.#gone });
    this.#open.add(connection);
    this.#sweeping ??= setInterval(this.#sweep, this.#sweepMs).unref();
  }

  /** GOAWAY to every open connection: calls on their way are answered, soon no more may follow, and connections without calls close. */
  sendAway(): void {
    for (const connection of this.#open) sendAway(connection);
  }

  /** The same at once: what has not begun is refused, so that clients send it elsewhere. */
  close(): void {
    for (const connection of this.#open) connection.close();
  }

  /** Resolves when no connection is left. One caller, who bounds the wait. */
  async closed(): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => (this.#onEmpty = resolve));
  }

  destroyAll(): void {
    for (const connection of this.#open) connection.cut();
  }

  readonly #gone = (connection: Http2Connection): void => {
    this.#open.delete(connection);
    if (this.#open.size > 0) return;
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
    this.#onEmpty?.();
  };

  /** One timer looks after everything: one per call costs more than answering a small one. */
  readonly #sweep = (): void => {
    const now = performance.now();
    for (const connection of this.#open) {
      for (let at = connection.calls.length - 1; at >= 0; at--) connection.calls[at]?.watch(now);
      this.#keepAlive(connection, now);
    }
  };

  #keepAlive(connection: Http2Connection, now: number): void {
    const { pingedAt, isGreeted } = connection;
    const isDead = pingedAt > 0 && now - pingedAt >= KEEPALIVE_TIMEOUT_MS;
    if (isDead || (!isGreeted && now - connection.openedAt >= this.#options.headerTimeoutMs)) {
      connection.destroy();
      return;
    }
    if (pingedAt > 0 || now - connection.heardAt < KEEPALIVE_MS || connection.isLeaving) return;
    connection.pingedAt = now;
    connection.ping();
  }
}

/** First the announcement, then the end: what the client sent before it had read the first is not refused. */
function sendAway(connection: Http2Connection): void {
  if (connection.isLeaving) return;
  if (!connection.isGreeted) {
    connection.close();
    return;
  }
  connection.announceEnd();
  setTimeout(() => {
    connection.close();
  }, ANNOUNCED_FOR_MS).unref();
}
