import { isIP, connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { backOffMs } from './back-off.ts';
import type { Attempt } from './client.ts';
import { GrpcAnswer, type AnswerHandlers, type GrpcReply } from './grpc-answer.ts';
import { GrpcRequestHeaders } from './grpc-request-headers.ts';
import { Http2Connection, type ConnectionTiming, type OutgoingStream } from './http2-connection.ts';
import { InferenceError } from './inference-error.ts';
import { pem, type TransportOptions } from './transport-options.ts';

export const CONNECTION_TIMING: ConnectionTiming = { connectMs: 10_000, watchMs: 5000, pingAfterMs: 10_000, pongMs: 10_000 };

/** A connection that rests is asked by the system whether it is still there. */
const SOCKET_KEEPALIVE_MS = 20_000;
/** Calls that wait for a connection with room. */
const MOST_WAITING = 10_000;
/** How often a call goes elsewhere because a server closes its connection or refuses the stream, before it counts as failed. */
const MOST_RESENDS = 5;

/** Unary gRPC calls to one server, over as many connections as its limits ask for. */
export class GrpcChannel {
  readonly #options: TransportOptions;
  readonly #timing: ConnectionTiming;
  readonly #headers: GrpcRequestHeaders;
  /** Those that take calls, the oldest first. */
  readonly #connections: Http2Connection[] = [];
  /** These, the one being made, and those that take no more calls and end with the ones they have. */
  readonly #all = new Set<Http2Connection>();
  readonly #waiting = new Set<Call>();
  #connecting: Http2Connection | undefined;
  #failures = 0;
  #retryAt = 0;
  #lastError: InferenceError | undefined;
  #closedBy: InferenceError | undefined;

  constructor(options: TransportOptions, timing: ConnectionTiming = CONNECTION_TIMING) {
    this.#options = options;
    this.#timing = timing;
    this.#headers = new GrpcRequestHeaders(options.address, options.authority);
  }

  /**
   * One call of `method`, a path. `body` is the framed message behind HTTP2_HEAD_BYTES of free space. Rejects with InferenceError; when the attempt aborts the
   * server is told, and the promise stays open.
   */
  call(method: string, body: Buffer, attempt: Attempt): Promise<GrpcReply> {
    return new Promise((resolve, reject) => {
      const block = this.#headers.encode(method, attempt);
      const call = new Call(this, block, body, resolve, reject);
      attempt.signal.addEventListener('abort', () => {
        call.cancel();
      });
      this.send(call);
    });
  }

  close(): void {
    const error = new InferenceError('cancelled', 'Cannot finish the call: the client is closed');
    this.#closedBy ??= error;
    for (const call of this.#waiting) call.fail(error);
    this.#waiting.clear();
    for (const connection of [...this.#all]) connection.close(error);
  }

  /** Starts a call, or lets it wait for a connection. */
  send(call: Call): void {
    if (this.#closedBy !== undefined) {
      call.fail(this.#closedBy);
      return;
    }
    for (const connection of this.#connections) {
      if (connection.room <= 0) continue;
      call.startOn(connection, this.#options);
      return;
    }
    const now = performance.now();
    if (this.#connections.length === 0 && this.#connecting === undefined && now < this.#retryAt && this.#lastError !== undefined) {
      call.fail(this.#lastError);
    } else if (this.#waiting.size >= MOST_WAITING) {
      const limit = `${MOST_WAITING} calls already wait for a connection to ${this.#options.address.host}`;
      call.fail(new InferenceError('overloaded', `Cannot send the request: ${limit}`, { retryable: true }));
    } else {
      this.#waiting.add(call);
      this.#connectMore(now);
    }
  }

  forget(call: Call): void {
    this.#waiting.delete(call);
  }

  #connectMore(now: number): void {
    if (this.#connecting !== undefined || now < this.#retryAt || this.#connections.length >= this.#options.maxConnections) return;
    const { address } = this.#options;
    let isReady = false;
    const connection = new Http2Connection(
      openSocket(this.#options),
      address.host,
      {
        ready: () => {
          if (!isReady) this.#took(connection);
          isReady = true;
          this.#sendWaiting();
        },
        away: (error) => {
          if (isReady) this.#left(connection);
          else this.#missed(error);
        },
        gone: () => {
          this.#all.delete(connection);
        },
      },
      this.#timing,
    );
    this.#connecting = connection;
    this.#all.add(connection);
  }

  #took(connection: Http2Connection): void {
    this.#connecting = undefined;
    this.#failures = 0;
    this.#retryAt = 0;
    this.#connections.push(connection);
  }

  #left(connection: Http2Connection): void {
    const at = this.#connections.indexOf(connection);
    if (at >= 0) this.#connections.splice(at, 1);
    if (this.#waiting.size > 0) this.#connectMore(performance.now());
  }

  /** Nobody is there, or nobody who speaks HTTP/2: who waits for it fails, unless other connections will have room. */
  #missed(error: InferenceError): void {
    this.#connecting = undefined;
    this.#lastError = error;
    this.#retryAt = performance.now() + backOffMs(this.#failures++, undefined);
    if (this.#connections.length > 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) call.fail(error);
  }

  #sendWaiting(): void {
    for (const call of this.#waiting) {
      const connection = this.#connections.find(({ room }) => room > 0);
      if (connection === undefined) {
        this.#connectMore(performance.now());
        return;
      }
      this.#waiting.delete(call);
      call.startOn(connection, this.#options);
    }
  }
}

/** One call from its start to its answer, wherever it goes. Settles at most once. */
class Call implements AnswerHandlers {
  readonly #channel: GrpcChannel;
  readonly #resolve: (reply: GrpcReply) => void;
  readonly #reject: (error: InferenceError) => void;
  #block: Buffer;
  #body: Buffer;
  #connection: Http2Connection | undefined;
  #stream: OutgoingStream | undefined;
  #starts = 0;
  #isSettled = false;

  constructor(channel: GrpcChannel, block: Buffer, body: Buffer, resolve: (reply: GrpcReply) => void, reject: (error: InferenceError) => void) {
    this.#channel = channel;
    this.#block = block;
    this.#body = body;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  startOn(connection: Http2Connection, { address, maxResponseBytes }: TransportOptions): void {
    if (this.#starts++ > 0) {
      // The first connection may still be writing what it was given.
      this.#block = Buffer.from(this.#block);
      this.#body = Buffer.from(this.#body);
    }
    this.#connection = connection;
    this.#stream = connection.open(this.#block, this.#body, new GrpcAnswer(address.host, maxResponseBytes, this));
  }

  succeed(reply: GrpcReply): void {
    if (this.#settle()) this.#resolve(reply);
  }

  fail(error: InferenceError): void {
    if (this.#settle()) this.#reject(error);
  }

  untouched(error: InferenceError): void {
    this.#stream = undefined;
    if (this.#isSettled) return;
    if (this.#starts > MOST_RESENDS) this.fail(error);
    else this.#channel.send(this);
  }

  stop(): void {
    if (this.#stream !== undefined) this.#connection?.cancel(this.#stream);
  }

  /** Nobody waits for the answer any more. */
  cancel(): void {
    this.#isSettled = true;
    this.#channel.forget(this);
    this.stop();
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    return true;
  }
}

function openSocket({ address, tls }: TransportOptions): Socket {
  const isTls = address.protocol === 'grpcs:';
  const host = address.hostname.replace(/^\[|\]$/g, '');
  const target = { host, port: address.port === '' ? (isTls ? 443 : 80) : Number(address.port) };
  const socket = isTls
    ? connectTls({
        ...target,
        ca: pem(tls.ca),
        cert: pem(tls.cert),
        key: pem(tls.key),
        ALPNProtocols: ['h2'],
        ...(isIP(host) === 0 ? { servername: host } : {}),
      })
    : connectSocket(target);
  return socket.setNoDelay(true).setKeepAlive(true, SOCKET_KEEPALIVE_MS);
}
