import { createServer, type AddressInfo, type Server as Listener, type Socket } from 'node:net';
import { ServingError } from '../../core/errors.ts';
import type { Http2Connections, Http2Options, StreamHandler } from '../http2/index.ts';
import type { CallLimits } from './call.ts';
import { isGrpc } from './content-type.ts';
import type { GrpcDependencies, GrpcService } from './service.ts';

export interface GrpcServerOptions extends CallLimits, Http2Options {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxConnections: number;
}

export interface GrpcFrontend {
  /** For a port that is shared with others: which streams are calls, and what answers them. Health and streams of `drain` and `stop` are theirs, too. */
  readonly streams: { isGrpc(contentType: string | undefined): boolean; load(): Promise<StreamHandler> };
  /** Takes the port and resolves with it; what answers calls is loaded for the first connection. Rejects with one line when the port cannot be had. */
  start(): Promise<number>;
  /** Pushes what has changed to health watchers; to be called after models or the server change state. */
  refreshHealth(): void;
  /**
   * The lame-duck time begins: health says NOT_SERVING, and open connections get GOAWAY, gRPC's `Connection: close`; calls under way on them are answered.
   * Whoever still comes is served. Idempotent.
   */
  drain(): void;
  /** No new connections, GOAWAY to all; waits up to `graceMs` for calls under way, then cuts what is left. New calls are UNAVAILABLE. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/** gRPC on a port of its own, once it is started, and on ports of others. */
export function createGrpcServer(options: GrpcServerOptions, deps: GrpcDependencies): GrpcFrontend {
  return new GrpcServer(options, deps);
}

class GrpcServer implements GrpcFrontend {
  private readonly options: GrpcServerOptions;
  private readonly deps: GrpcDependencies;
  private readonly listener: Listener;
  /** Every open connection; those that came before the rest was loaded wait here. */
  private readonly sockets = new Set<Socket>();
  readonly streams: GrpcFrontend['streams'];
  private service: GrpcService | undefined;
  private connections: Http2Connections | undefined;
  private loading: Promise<void> | undefined;
  private isDraining = false;
  private stopped: Promise<void> | undefined;

  constructor(options: GrpcServerOptions, deps: GrpcDependencies) {
    this.options = options;
    this.deps = deps;
    this.listener = createServer({ noDelay: true }, (socket) => {
      this.take(socket);
    });
    this.listener.maxConnections = options.maxConnections;
    this.streams = { isGrpc, load: async () => (await this.loadService()).handle };
  }

  async start(): Promise<number> {
    const port = await listen(this.listener, this.options);
    // Out of file descriptors, mostly: the connection is lost, the server is not.
    this.listener.on('error', (err) => {
      this.deps.log.error({ err }, 'gRPC connection not accepted');
    });
    return port;
  }

  refreshHealth(): void {
    this.service?.refreshHealth();
  }

  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.service?.drain();
    this.connections?.sendAway();
  }

  stop(graceMs: number): Promise<void> {
    this.stopped ??= this.close(graceMs);
    return this.stopped;
  }

  private take(socket: Socket): void {
    this.sockets.add(socket);
    // Errors of a connection are its peer's; `close` follows.
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
    if (this.connections === undefined) this.loading ??= this.load();
    else this.connections.accept(socket);
  }

  /** Never rejects. */
  private async load(): Promise<void> {
    try {
      const [{ encodeHeaders, Http2Connections }, { handle }] = await Promise.all([import('../http2/index.ts'), this.loadService()]);
      this.connections = new Http2Connections(this.options, {
        log: this.deps.log,
        handle: (stream, headers, connection) => {
          if (isGrpc(headers['content-type'])) handle(stream, headers, connection);
          // What gRPC's specification asks for.
          else stream.respond(encodeHeaders({ ':status': 415 }), true);
        },
      });
    } catch (err) {
      this.deps.log.error({ err }, 'Cannot load gRPC');
      for (const socket of this.sockets) socket.destroy();
      this.loading = undefined;
      return;
    }
    for (const socket of this.sockets) if (!socket.destroyed) this.connections.accept(socket);
    if (this.stopped !== undefined) this.connections.close();
  }

  private async loadService(): Promise<GrpcService> {
    const { createGrpcService } = await import('./service.ts');
    if (this.service !== undefined) return this.service;
    this.service = createGrpcService(this.options, this.deps);
    if (this.isDraining) this.service.drain();
    if (this.stopped !== undefined) this.service.endStreams();
    return this.service;
  }

  private async close(graceMs: number): Promise<void> {
    // Calls back when the last connection is closed, which is after the last call on it.
    const closed = new Promise<void>((resolve) => {
      this.listener.close(() => {
        resolve();
      });
    });
    this.drain();
    this.service?.endStreams();
    this.connections?.close();
    const isClosed = await within(graceMs, closed);
    if (!isClosed) this.deps.log.warn({ connections: this.sockets.size, graceMs }, 'gRPC connections were still open when their grace period ended');
    this.connections?.destroyAll();
    for (const socket of this.sockets) socket.destroy();
  }
}

function listen(listener: Listener, { host, port }: GrpcServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.once('error', (cause: NodeJS.ErrnoException) => {
      const problem = cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message;
      reject(new ServingError('internal', `Cannot listen for gRPC on ${host}:${port}: ${problem}; set --grpc_port to another one`, { cause }));
    });
    listener.listen(port, host, () => {
      resolve((listener.address() as AddressInfo).port);
    });
  });
}

/** True when `promise` settled in time. */
async function within(milliseconds: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, milliseconds);
  });
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
