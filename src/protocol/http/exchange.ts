import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';
import { loggableRequestId } from '../../core/request-id.ts';
import { StopSource } from '../../core/stop-signal.ts';
import { releaseBuffer } from '../../core/release.ts';
import { BodyReader, type BodyLimits } from './body-reader.ts';
import { ownsItsBuffer } from './byte-sink.ts';
import type { Connection, PendingExchange } from './connection.ts';

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

/**
 * Random for each process, so that counting on makes ids that no other server makes; a random id for each request costs ten times as much. Nothing is secret
 * about it, so that it does without node:crypto, which a start would have to wait for.
 */
const PROCESS_ID = 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replaceAll('x', () => Math.floor(Math.random() * 16).toString(16));
let lastRequest = 0;

/** The client's id when it is short and printable, so that it can go into headers and logs; else a new one. */
export function requestId(header: string | undefined): string {
  return loggableRequestId(header) ?? `${PROCESS_ID}-${(++lastRequest).toString(36)}`;
}

/** What ends an exchange: the reply was handed to the kernel, or the client has left. */
export type ExchangeEnd = 'replied' | 'client-left';

/** One request with its reply over HTTP/1.1. Signal, logger and body reader are made on first use: most probes need none of them. */
export class HttpExchange implements HttpCall, PendingExchange {
  readonly receivedAt = performance.now();
  readonly id: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path pattern that matched; `unmatched` when none did. */
  readonly route: string;
  readonly connection: Connection;
  isReplying = false;
  isEnded = false;
  responseBytes = 0;
  #isWatched = false;
  readonly #limits: BodyLimits;
  readonly #rootLog: Logger;
  readonly #onEnd: (exchange: HttpExchange, end: ExchangeEnd) => void;
  #log: Logger | undefined;
  #reader: BodyReader | undefined;
  #hasLeft = false;
  readonly signal = new StopSource();
  #onLeave: (() => void) | undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    place: { readonly route: string; readonly connection: Connection },
    deps: { readonly limits: BodyLimits; readonly log: Logger; readonly onEnd: (exchange: HttpExchange, end: ExchangeEnd) => void },
  ) {
    this.request = request;
    this.response = response;
    this.route = place.route;
    this.connection = place.connection;
    this.#limits = deps.limits;
    this.#rootLog = deps.log;
    this.#onEnd = deps.onEnd;
    this.id = requestId(this.headers['x-request-id']);
    response.once('finish', () => {
      this.#end('replied');
    });
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  get params(): Readonly<Record<string, string>> {
    return (this.request as { params?: Readonly<Record<string, string>> }).params ?? NO_PARAMS;
  }

  /** Node joins repeated headers into one text; only set-cookie, which no request carries, would be a list. */
  get headers(): Readonly<Record<string, string | undefined>> {
    return this.request.headers as Readonly<Record<string, string | undefined>>;
  }

  get log(): Logger {
    return (this.#log ??= this.#rootLog.child({ requestId: this.id }));
  }

  get hasClientLeft(): boolean {
    return this.#hasLeft;
  }

  /** Bytes of the body that were read, as they came over the wire. */
  get requestBytes(): number {
    return this.#reader?.received ?? 0;
  }

  get hasStartedReading(): boolean {
    return this.#reader !== undefined;
  }

  async readBody(): Promise<Uint8Array> {
    return await this.#startReading(false).bytes;
  }

  async useBody<T>(use: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
    return await this.#startReading(true).use(use);
  }

  #startReading(mayBorrow: boolean): BodyReader {
    if (this.#reader !== undefined) throw new ServingError('internal', 'Cannot read the body: it was read before');
    if (this.#hasLeft) throw clientLeft();
    const reader = new BodyReader(this.request, this.headers, this.#limits, mayBorrow);
    this.#reader = reader;
    this.request.on('data', (chunk: Buffer) => {
      // Node gives each chunk memory of its own: many megabytes of them would wait for a collection.
      if (reader.push(chunk) && ownsItsBuffer(chunk)) releaseBuffer(chunk.buffer);
    });
    this.request.once('end', () => {
      reader.end();
    });
    if (this.expectsContinue) this.response.writeContinue();
    return reader;
  }

  /** The client sends its body only when told to go on (RFC 9110 section 10.1.1). */
  get expectsContinue(): boolean {
    return this.request.headers.expect?.toLowerCase() === '100-continue';
  }

  /** True when bytes of the body may still come. Node counts a message without a body as complete only after its handler was called. */
  get hasUnreadBody(): boolean {
    const { complete, headers } = this.request;
    return !complete && ((headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined);
  }

  /** Resolves when the socket has taken what was written, or when the client has left. `watch` bounds the wait. */
  async drained(): Promise<void> {
    if (this.#hasLeft) return;
    await new Promise<void>((resolve) => {
      this.#onLeave = resolve;
      this.response.once('drain', resolve);
    });
  }

  /** Called now and then: gives up a body that has stopped coming, and has Node disconnect a client that takes nothing of its reply. */
  watch(now: number): void {
    this.#reader?.watch(now);
    const { socket } = this.response;
    // Pipelined behind another reply there is no socket yet.
    if (!this.isReplying || this.#isWatched || socket === null) return;
    this.#isWatched = true;
    // Node starts anew whenever the kernel has taken some, and sets its own timeout when the reply is out.
    socket.setTimeout(this.#limits.bodyTimeoutMs);
  }

  /** The connection closed before the reply was complete. */
  leave(): void {
    if (this.isEnded) return;
    this.#hasLeft = true;
    this.#reader?.fail(clientLeft());
    this.signal.abort(clientLeft());
    this.#onLeave?.();
    this.#end('client-left');
  }

  #end(end: ExchangeEnd): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#onEnd(this, end);
  }
}

export function clientLeft(): ServingError {
  return new ServingError('cancelled', 'Client closed the connection before the reply was complete');
}
