import { createServer, type Server } from 'node:http';
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net';
import type { Logger } from '../../core/context.ts';
import type { HttpRoute } from '../../core/http.ts';
import { settledWithin } from '../../core/settled-within.ts';
import { answerClientError } from './client-error.ts';
import { Connections } from './connections.ts';
import { createExpressApp, type ExpressApp } from './express-app.ts';
import { ExchangeServer, type HttpObserver } from './exchange-server.ts';
import { readProtocol } from './first-bytes.ts';
import { Http2Port, type GrpcStreams } from './http2-port.ts';

/** Limits of the HTTP/1.1 front end. */
export interface HttpOptions {
  /** Bytes of a body on the wire and after inflating. */
  readonly maxBodyBytes: number;
  readonly maxHeaderBytes: number;
  /** Longest wait for a complete head. */
  readonly headerTimeoutMs: number;
  /** Longest wait for the next bytes of a body, and for a client to take the next bytes of a reply. */
  readonly bodyTimeoutMs: number;
  /** How long an idle connection stays open. Longer than that of the proxies before it, which else meet a closing connection now and then. */
  readonly keepAliveTimeoutMs: number;
  readonly maxConnections: number;
}

export interface HttpFrontend {
  /** Loads what serving needs (tens of milliseconds of CPU time); `start` does it otherwise. To be called while models load. */
  prepare(): Promise<void>;
  /** Resolves with the port, which matters for port 0. Rejects with the system's error when it is taken. Once only. */
  start(host: string, port: number): Promise<number>;
  /** From now on replies close their connections. New connections are still taken. */
  drain(): void;
  /** Stops listening, lets requests in flight and those on their way finish within `graceMs`, then closes every connection. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/** All of a body may take this many times the wait for its next bytes: a client that sends a byte now and then does not hold a connection for ever. */
const WHOLE_BODY_FACTOR = 20;

/** Without a new connection for this long, none is on its way; with a stream of them, the listener closes all the same. */
const CEASED_FOR_MS = 20;
const CEASE_WITHIN_MS = 200;

/** How long `stop` waits for requests that idle connections have on their way. */
const IDLE_GRACE_MS = 250;

/** HTTP/1.1 over express, and HTTP/2 with prior knowledge, on one port for routes of every protocol; calls of gRPC beside them when `grpc` is given. */
export function createHttpFrontend(
  options: HttpOptions,
  deps: { readonly routes: readonly HttpRoute[]; readonly log: Logger; readonly observer?: HttpObserver; readonly grpc?: GrpcStreams },
): HttpFrontend {
  const { log, observer = {} } = deps;
  const connections = new Connections(options.bodyTimeoutMs);
  const exchanges = new ExchangeServer(options, { connections, log, observer });
  const http2 = new Http2Port(options, { ...deps, observer });
  let app: Promise<ExpressApp> | undefined;
  let server: Server | undefined;
  let stopping: Promise<void> | undefined;

  const prepare = (): Promise<ExpressApp> => (app ??= createExpressApp(deps.routes, exchanges.serve));

  return {
    async prepare() {
      await prepare();
    },
    async start(host, port) {
      server = createNodeServer(options, await prepare(), connections, log);
      shareWithHttp2(server, options, connections, http2);
      return await listen(server, host, port);
    },
    drain() {
      exchanges.isDraining = true;
      http2.sendAway();
    },
    async stop(graceMs) {
      exchanges.isDraining = true;
      if (server !== undefined) await (stopping ??= stopServer(server, { exchanges, connections, http2 }, graceMs));
    },
  };
}

function createNodeServer(options: HttpOptions, app: ExpressApp, connections: Connections, log: Logger): Server {
  const server = createServer(
    {
      ...app.classes,
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headerTimeoutMs,
      requestTimeout: options.headerTimeoutMs + WHOLE_BODY_FACTOR * options.bodyTimeoutMs,
      keepAliveTimeout: Math.max(1, options.keepAliveTimeoutMs),
      // Node looks at the two timeouts above only this often.
      connectionsCheckingInterval: Math.min(1000, Math.max(25, options.headerTimeoutMs / 4)),
      noDelay: true,
    },
    app.listener,
  );
  server.maxConnections = options.maxConnections;
  server.on('checkContinue', app.listener);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    log.debug({ code: error.code }, 'cannot read request');
    const connection = connections.of(socket);
    if (connection === undefined) socket.destroy();
    else answerClientError(error, connection);
  });
  return server;
}

/** Every connection goes to HTTP/1.1 or HTTP/2 by its first bytes. */
function shareWithHttp2(server: Server, { headerTimeoutMs }: HttpOptions, connections: Connections, http2: Http2Port): void {
  const accept = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    connections.open(socket);
    readProtocol(socket, headerTimeoutMs, (isHttp2) => {
      if (isHttp2) {
        connections.forget(socket);
        http2.accept(socket);
        return;
      }
      for (const listener of accept) listener.call(server, socket);
      socket.resume();
    });
  });
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

interface Sides {
  readonly exchanges: ExchangeServer;
  readonly connections: Connections;
  readonly http2: Http2Port;
}

async function stopServer(server: Server, { exchanges, connections, http2 }: Sides, graceMs: number): Promise<void> {
  const end = performance.now() + graceMs;
  const left = (): number => Math.max(0, end - performance.now());
  const release = exchanges.hold();
  await connectionsCease(server, Math.min(CEASE_WITHIN_MS, left()));
  const closed = new Promise<void>((resolve) => {
    // http.Server's own close would cut idle connections at once, and with them the requests that are on their way.
    NetServer.prototype.close.call(server, () => {
      resolve();
    });
  });
  release();
  const http2Closed = http2.closed();
  await settledWithin(closed, Math.min(IDLE_GRACE_MS, left()));
  connections.closeIdle();
  await settledWithin(connections.quiet(), left());
  connections.closeIdle();
  await settledWithin(http2Closed, left());
  http2.destroyAll();
  await settledWithin(closed, left());
  connections.destroyAll();
  await closed;
  // Ends Node's timer over the connections; there is nothing else left to close.
  server.close();
}

/**
 * What the kernel has accepted and Node has not is cut when the listener closes. Clients that are answered with `Connection: close` come back at once, so
 * answers are held meanwhile: resolves when no connection has come for a moment, or after `withinMs`.
 */
async function connectionsCease(server: Server, withinMs: number): Promise<void> {
  const start = performance.now();
  let lastCame = start;
  const onConnection = (): void => {
    lastCame = performance.now();
  };
  server.on('connection', onConnection);
  let waitedFrom: number;
  do {
    waitedFrom = performance.now();
    await new Promise((resolve) => setTimeout(resolve, CEASED_FOR_MS));
  } while (lastCame > waitedFrom && performance.now() - start < withinMs);
  server.removeListener('connection', onConnection);
}
