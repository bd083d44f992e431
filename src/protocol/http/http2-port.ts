import type { Socket } from 'node:net';
import type { Logger } from '../../core/context.ts';
import type { HttpRoute } from '../../core/http.ts';
import type { Http2Connections, Http2Options, StreamHandler } from '../http2/index.ts';
import type { BodyLimits } from './body-reader.ts';
import type { HttpObserver } from './exchange-server.ts';

/** What answers gRPC calls, loaded when the first client speaks HTTP/2. */
export interface GrpcStreams {
  isGrpc(contentType: string | undefined): boolean;
  load(): Promise<StreamHandler>;
}

export interface Http2PortDependencies {
  readonly routes: readonly HttpRoute[];
  readonly log: Logger;
  readonly observer: HttpObserver;
  readonly grpc?: GrpcStreams;
}

/** The HTTP/2 side of the HTTP port: REST, and gRPC where it is served. Nothing of it is loaded before somebody comes. */
export class Http2Port {
  readonly #limits: Http2Options & BodyLimits;
  readonly #deps: Http2PortDependencies;
  readonly #waiting = new Set<Socket>();
  #connections: Http2Connections | undefined;
  #loading: Promise<void> | undefined;
  #isLeaving = false;

  constructor(limits: Http2Options & BodyLimits, deps: Http2PortDependencies) {
    this.#limits = limits;
    this.#deps = deps;
  }

  accept(socket: Socket): void {
    // Errors of a connection are its peer's; `close` follows.
    socket.on('error', () => undefined);
    if (this.#connections !== undefined) {
      this.#connections.accept(socket);
      return;
    }
    this.#waiting.add(socket);
    this.#loading ??= this.#load();
  }

  /** GOAWAY to every open connection. */
  sendAway(): void {
    this.#connections?.sendAway();
  }

  /** GOAWAY to every connection there is and will be; resolves when the last has closed. */
  async closed(): Promise<void> {
    this.#isLeaving = true;
    await this.#loading;
    this.sendAway();
    await this.#connections?.closed();
  }

  destroyAll(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.#connections?.destroyAll();
  }

  /** Never rejects. */
  async #load(): Promise<void> {
    try {
      const connections = await this.#build();
      this.#connections = connections;
      for (const socket of this.#waiting) if (!socket.destroyed) connections.accept(socket);
      if (this.#isLeaving) connections.sendAway();
    } catch (err) {
      this.#deps.log.error({ err }, 'Cannot load HTTP/2');
      for (const socket of this.#waiting) socket.destroy();
      this.#loading = undefined;
    }
    this.#waiting.clear();
  }

  async #build(): Promise<Http2Connections> {
    const { routes, log, observer, grpc } = this.#deps;
    const [{ Http2Connections }, { createStreamServer }, answerCall] = await Promise.all([
      import('../http2/index.ts'),
      import('./stream-server.ts'),
      grpc?.load(),
    ]);
    const answerRequest = createStreamServer(this.#limits, { routes, log, observer });
    return new Http2Connections(this.#limits, {
      log,
      handle: (stream, headers, connection) => {
        const isCall = answerCall !== undefined && grpc?.isGrpc(headers['content-type']) === true;
        (isCall ? answerCall : answerRequest)(stream, headers, connection);
      },
    });
  }
}
