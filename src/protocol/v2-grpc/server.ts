import { createServer, type AddressInfo, type Server as Listener, type Socket } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { HealthService } from './health.ts';
import { inferenceService } from './inference.ts';
import { HEALTH_SERVICE, INFERENCE_SERVICE, loadLibrary, type LoadedLibrary, type Method } from './library.ts';
import { addReflection } from './reflection.ts';
import type { GrpcObserver, UnaryDependencies } from './unary.ts';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Largest message taken, after inflating; -1: no limit. */
  readonly maxReceiveBytes: number;
  /** Largest message sent; -1: no limit. */
  readonly maxSendBytes: number;
}

export interface GrpcDependencies {
  readonly dataplane: Dataplane;
  readonly log: Logger;
  readonly observer?: GrpcObserver;
  /** The library is loaded when this resolves, or when somebody connects; at once by default. */
  readonly hasTime?: Promise<unknown>;
}

export interface GrpcFrontend {
  /**
   * Takes the port and resolves with it; the gRPC library is loaded when there is time, and calls wait for it. Rejects with one line when the port cannot be
   * had.
   */
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

/** Calls that one connection may have under way at once; more wait at the client. */
const MAX_STREAMS_PER_CONNECTION = 1024;
/** A peer that vanished without closing its connection is found out after a minute and a half. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** The longest time a timer takes: whoever drains decides about the end. */
const NEVER_MS = 2 ** 31 - 1;

/** Everything that exists once the library is there. */
interface Running {
  readonly server: Server;
  readonly health: HealthService;
  accept(socket: Socket): void;
  /** GOAWAY to every open connection. */
  sendAway(): void;
  /** Ends the streams that clients keep open for hours. */
  endStreams(): void;
}

export function createGrpcServer(options: GrpcServerOptions, deps: GrpcDependencies): GrpcFrontend {
  return new GrpcServer(options, deps);
}

class GrpcServer implements GrpcFrontend {
  private readonly options: GrpcServerOptions;
  private readonly deps: GrpcDependencies;
  private readonly listener: Listener;
  /** Every open connection; those that came before the library was loaded wait here. */
  private readonly sockets = new Set<Socket>();
  private running: Running | undefined;
  private loading: Promise<void> | undefined;
  private isDraining = false;
  private stopped: Promise<void> | undefined;

  constructor(options: GrpcServerOptions, deps: GrpcDependencies) {
    this.options = options;
    this.deps = deps;
    this.listener = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      // Errors of a connection are its peer's; `close` follows.
      socket.on('error', () => undefined);
      socket.once('close', () => this.sockets.delete(socket));
      if (this.running !== undefined) this.running.accept(socket);
      else void this.load();
    });
  }

  async start(): Promise<number> {
    const port = await listen(this.listener, this.options);
    // Out of file descriptors, mostly: the connection is lost, the server is not.
    this.listener.on('error', (err) => {
      this.deps.log.error({ err }, 'gRPC connection not accepted');
    });
    if (this.deps.hasTime === undefined) await this.load();
    else void this.deps.hasTime.then(() => this.load());
    return port;
  }

  /** Never rejects: without the library nothing is served here, and that is logged. */
  private load(): Promise<void> {
    return (this.loading ??= this.loadLibrary());
  }

  private async loadLibrary(): Promise<void> {
    if (this.stopped !== undefined) return;
    try {
      this.running = await build(this.options, this.deps);
    } catch (err) {
      this.deps.log.error({ err }, 'gRPC cannot be served');
      await this.stop(0);
      return;
    }
    if (this.isDraining) this.running.health.drain();
    if (this.hasStopped()) this.running.server.forceShutdown();
    else for (const socket of this.sockets) this.running.accept(socket);
  }

  /** Asked anew after a wait. */
  private hasStopped(): boolean {
    return this.stopped !== undefined;
  }

  refreshHealth(): void {
    this.running?.health.refresh();
  }

  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.running?.health.drain();
    this.running?.sendAway();
  }

  stop(graceMs: number): Promise<void> {
    this.stopped ??= this.close(graceMs);
    return this.stopped;
  }

  private async close(graceMs: number): Promise<void> {
    // Calls back when the last connection is closed, which is after the last call on it.
    const closed = new Promise<void>((resolve) => {
      this.listener.close(() => {
        resolve();
      });
    });
    this.drain();
    this.running?.endStreams();
    this.running?.sendAway();
    const isClosed = this.running !== undefined && (await within(graceMs, closed));
    if (!isClosed && this.running !== undefined) {
      this.deps.log.warn({ connections: this.sockets.size, graceMs }, 'gRPC connections were still open when their grace period ended');
    }
    for (const socket of this.sockets) socket.destroy();
    this.running?.server.forceShutdown();
  }
}

async function build(options: GrpcServerOptions, { dataplane, log, observer = {} }: GrpcDependencies): Promise<Running> {
  const library = await loadLibrary();
  const { grpc } = library;
  const server = new grpc.Server({
    'grpc.max_receive_message_length': options.maxReceiveBytes,
    'grpc.max_send_message_length': options.maxSendBytes,
    'grpc.max_concurrent_streams': MAX_STREAMS_PER_CONNECTION,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.enable_channelz': 0,
  });
  const unaryDeps: UnaryDependencies = { grpc, log, observer, maxSendBytes: options.maxSendBytes };
  const health = new HealthService(library, unaryDeps, dataplane);
  server.addService(bytesService(library, INFERENCE_SERVICE), inferenceService(library, unaryDeps, dataplane));
  server.addService(bytesService(library, HEALTH_SERVICE), health.implementation);
  const endReflection = await addReflection(grpc, server, library.packages);
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  return {
    server,
    health,
    accept: (socket) => {
      injector.injectConnection(socket);
    },
    sendAway: () => {
      injector.drain(NEVER_MS);
    },
    endStreams: () => {
      health.close();
      endReflection();
    },
  };
}

/** The service as the library is to know it: messages are bytes, handlers decode them. */
function bytesService(library: LoadedLibrary, name: string): Record<string, Method> {
  const same = (bytes: Buffer): Buffer => bytes;
  const definition = library.service(name);
  return Object.fromEntries(
    Object.entries(definition).map(([method, rest]) => [method, { ...rest, requestDeserialize: same, responseSerialize: same as never }]),
  );
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
