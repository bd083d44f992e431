import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../core/context.ts';
import { ERROR_TABLE, toServingError } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import type { BodyLimits } from './body-reader.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { HttpExchange, type ExchangeEnd } from './exchange.ts';
import type { Serve } from './express-app.ts';
import { logError } from './log-error.ts';
import { errorReply, writeReply } from './reply.ts';

/** A finished request, as metrics and access logs want it. */
export interface HttpOutcome {
  readonly method: string;
  /** The pattern of the path, e.g. `/v2/models/{model}/infer`, or `unmatched`: a bounded label. */
  readonly route: string;
  /** 499 when the client had left. */
  readonly status: number;
  readonly seconds: number;
  /** Bytes of the body on the wire; 0 when nobody read it. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** Silent by default; server.ts connects telemetry. */
export interface HttpObserver {
  finished?(outcome: HttpOutcome): void;
}

/** Runs requests through their route and writes the reply. The wall where errors become replies and are logged, once. */
export class ExchangeServer {
  /** True from the beginning of the shutdown: each reply closes its connection. */
  isDraining = false;
  #held: Promise<void> | undefined;
  readonly #connections: Connections;
  readonly #observer: HttpObserver;
  readonly #exchangeDeps: { readonly limits: BodyLimits; readonly log: Logger; readonly onEnd: (exchange: HttpExchange, end: ExchangeEnd) => void };

  constructor(limits: BodyLimits, deps: { readonly connections: Connections; readonly log: Logger; readonly observer: HttpObserver }) {
    this.#connections = deps.connections;
    this.#observer = deps.observer;
    this.#exchangeDeps = { limits, log: deps.log, onEnd: this.#onEnd };
  }

  /** From now on replies wait until the returned function is called. */
  hold(): () => void {
    let release: () => void = () => undefined;
    this.#held = new Promise((resolve) => (release = resolve));
    return () => {
      this.#held = undefined;
      release();
    };
  }

  readonly serve: Serve = (request, response, route, handle) => {
    const connection = this.#connections.of(request.socket);
    if (connection === undefined || connection.isClosing) {
      // The client was told that the connection closes: what it still sends has no answer.
      request.resume();
      return;
    }
    void this.#serve(connection, request, response, route, handle);
  };

  async #serve(
    connection: Connection,
    request: IncomingMessage,
    response: ServerResponse,
    route: string,
    handle: (call: HttpCall) => HttpReply | Promise<HttpReply>,
  ): Promise<void> {
    const exchange = new HttpExchange(request, response, { route, connection }, this.#exchangeDeps);
    this.#connections.began(exchange);
    let reply: HttpReply;
    try {
      const handled = handle(exchange);
      reply = handled instanceof Promise ? await handled : handled;
    } catch (thrown) {
      reply = this.#replyToError(exchange, thrown);
    }
    if (this.#held !== undefined) await this.#held;
    if (exchange.hasClientLeft) return;
    try {
      // With requests pipelined behind this one, the last of them closes the connection.
      const close = this.isDraining && connection.exchanges.length === 1;
      if (await writeReply(exchange, reply, close)) connection.isClosing = true;
    } catch (thrown) {
      // A reply that cannot be written, e.g. with a header that is not text: nothing sensible can follow on this connection.
      exchange.log.error({ err: thrown, route }, 'cannot write reply');
      request.socket.destroy();
    }
  }

  #replyToError(exchange: HttpExchange, thrown: unknown): HttpReply {
    const error = toServingError(thrown);
    logError(exchange, error);
    return errorReply(error);
  }

  readonly #onEnd = (exchange: HttpExchange, end: ExchangeEnd): void => {
    this.#connections.ended(exchange);
    this.#observer.finished?.({
      method: exchange.method,
      route: exchange.route,
      status: end === 'replied' ? exchange.response.statusCode : ERROR_TABLE.cancelled.http,
      seconds: (performance.now() - exchange.receivedAt) / 1000,
      requestBytes: exchange.requestBytes,
      responseBytes: exchange.responseBytes,
    });
  };
}
