import { constants, performServerHandshake, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Logger } from '../../core/context.ts';
import { Http2Connection } from './connection.ts';

/** Takes a stream over: reads it, answers it, listens to its errors. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, connection: Http2Connection) => void;

export interface Http2Options {
  /** Largest head of a request, as HTTP/2 counts it; streams with larger ones are reset. */
  readonly maxHeaderBytes: number;
  /** Longest wait for a client's first frames. */
  readonly headerTimeoutMs: number;
}

/** Calls that one connection may have under way at once; more wait at the client. */
const MAX_STREAMS_PER_CONNECTION = 1024;

/** What one stream, and all streams of a connection together, may send before we have read it: large messages come in few round trips. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 1 << 22;

/** Memory of a connection beside messages, in megabytes: Node refuses streams beyond it, and the default of 10 is less than a thousand of them take. */
const SESSION_MEMORY_MB = 256;

/** A peer that vanished without closing its connection is found out after a minute and a half. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const SWEEP_MS = 1000;

/** The stream id of a GOAWAY that only announces the end: streams on their way are still taken (RFC 9113 section 6.8). */
const ALL_STREAMS = 2 ** 31 - 1;

/** How long after that announcement streams are still taken: more than a round trip. */
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
    const session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: {
        maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxHeaderListSize: this.#options.maxHeaderBytes,
      },
    });
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const connection = new Http2Connection(session);
    this.#open.add(connection);
    this.#sweeping ??= setInterval(this.#sweep, this.#sweepMs).unref();
    session.on('stream', (stream, headers) => {
      connection.heardAt = performance.now();
      this.#handle(stream, headers, connection);
    });
    session.once('remoteSettings', () => (connection.isGreeted = true));
    session.on('error', (err: Error) => {
      this.#log.debug({ err }, 'HTTP/2 connection failed');
    });
    session.once('close', () => {
      this.#open.delete(connection);
      if (this.#open.size > 0) return;
      clearInterval(this.#sweeping);
      this.#sweeping = undefined;
      this.#onEmpty?.();
    });
  }

  /** GOAWAY to every open connection: calls on their way are answered, no more may follow, and connections without calls close. */
  sendAway(): void {
    for (const connection of this.#open) this.#sendAway(connection);
  }

  /** Resolves when no connection is left. One caller, who bounds the wait. */
  async closed(): Promise<void> {
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => (this.#onEmpty = resolve));
  }

  destroyAll(): void {
    for (const { session } of this.#open) session.destroy(undefined, constants.NGHTTP2_CANCEL);
  }

  /** First the announcement, then the end: what the client sent before it had read the first is not refused. */
  #sendAway(connection: Http2Connection): void {
    const { session } = connection;
    if (connection.isLeaving || session.destroyed) return;
    connection.isLeaving = true;
    if (!connection.isGreeted) {
      session.close();
      return;
    }
    session.goaway(constants.NGHTTP2_NO_ERROR, ALL_STREAMS);
    const timer = setTimeout(() => {
      if (!session.destroyed) session.close();
    }, ANNOUNCED_FOR_MS);
    session.once('close', () => {
      clearTimeout(timer);
    });
  }

  /** One timer looks after everything: one per call costs more than answering a small one. */
  readonly #sweep = (): void => {
    const now = performance.now();
    for (const connection of this.#open) {
      for (let at = connection.calls.length - 1; at >= 0; at--) connection.calls[at]?.watch(now);
      this.#keepAlive(connection, now);
    }
  };

  #keepAlive(connection: Http2Connection, now: number): void {
    const { session, pingedAt } = connection;
    const isDead = pingedAt > 0 && now - pingedAt >= KEEPALIVE_TIMEOUT_MS;
    if (isDead || (!connection.isGreeted && now - connection.openedAt >= this.#options.headerTimeoutMs)) {
      session.destroy();
      return;
    }
    if (pingedAt > 0 || now - connection.heardAt < KEEPALIVE_MS || connection.isLeaving) return;
    connection.pingedAt = now;
    session.ping((err) => {
      if (err !== null) return;
      connection.pingedAt = 0;
      connection.heardAt = performance.now();
    });
  }
}
