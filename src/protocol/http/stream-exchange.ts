import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { StopSource } from '../../core/stop-signal.ts';
import type { Http2Connection, OpenCall } from '../http2/index.ts';
import { BodyReader, type BodyLimits } from './body-reader.ts';
import { clientLeft, requestId, type ExchangeEnd } from './exchange.ts';
import { bodyLength } from './reply.ts';

/** Replies are handed to the stream in pieces of this size, so that a client that takes nothing is told from a slow one. */
const PIECE_BYTES = 1 << 20;

/** One request with its reply on a stream of an HTTP/2 connection. */
export class StreamExchange implements HttpCall, OpenCall {
  slot = 0;
  readonly receivedAt = performance.now();
  readonly signal = new StopSource();
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly id: string;
  readonly method: string;
  readonly route: string;
  readonly params: Readonly<Record<string, string>>;
  responseBytes = 0;
  status = 0;
  readonly #stream: ServerHttp2Stream;
  readonly #connection: Http2Connection;
  readonly #limits: BodyLimits;
  readonly #rootLog: Logger;
  readonly #onEnd: (exchange: StreamExchange, end: ExchangeEnd) => void;
  #log: Logger | undefined;
  #reader: BodyReader | undefined;
  #hasLeft = false;
  #isReplied = false;
  #movedAt = 0;

  constructor(
    stream: ServerHttp2Stream,
    place: {
      readonly headers: IncomingHttpHeaders;
      readonly connection: Http2Connection;
      readonly route: string;
      readonly params: Readonly<Record<string, string>>;
    },
    deps: { readonly limits: BodyLimits; readonly log: Logger; readonly onEnd: (exchange: StreamExchange, end: ExchangeEnd) => void },
  ) {
    this.#stream = stream;
    this.#connection = place.connection;
    this.headers = plainHeaders(place.headers);
    this.route = place.route;
    this.params = place.params;
    this.method = place.headers[':method'] ?? 'GET';
    this.#limits = deps.limits;
    this.#rootLog = deps.log;
    this.#onEnd = deps.onEnd;
    this.id = requestId(this.headers['x-request-id']);
    this.#connection.began(this);
    // Errors of a stream are its peer's; `close` follows.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      this.#closed();
    });
  }

  get log(): Logger {
    return (this.#log ??= this.#rootLog.child({ requestId: this.id }));
  }

  get hasClientLeft(): boolean {
    return this.#hasLeft;
  }

  get requestBytes(): number {
    return this.#reader?.received ?? 0;
  }

  async readBody(): Promise<Uint8Array> {
    return await this.#startReading(false).bytes;
  }

  async useBody<T>(use: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
    return await this.#startReading(true).use(use);
  }

  /** Writes the reply; resolves when all of it is handed over. A body that nobody read ends with the stream, not with the connection. */
  async reply({ status, headers, body }: HttpReply): Promise<void> {
    const stream = this.#stream;
    if (this.#hasLeft || stream.destroyed) return;
    this.status = status;
    this.responseBytes = bodyLength(body);
    this.#connection.heldBytes += this.responseBytes;
    this.#movedAt = performance.now();
    const own: OutgoingHttpHeaders = { ':status': status, 'content-length': this.responseBytes, 'x-request-id': this.id, ...headers };
    stream.respond(own, { endStream: this.responseBytes === 0 });
    this.#isReplied = true;
    if (!stream.writableEnded) await this.#write(typeof body === 'string' ? [Buffer.from(body)] : (body ?? []));
    if (!stream.readableEnded && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** Nothing sensible can follow. */
  abandon(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /** Gives up a body that has stopped coming, and a client that takes nothing of its reply. */
  watch(now: number): void {
    this.#reader?.watch(now);
    if (this.#isReplied && now - this.#movedAt >= this.#limits.bodyTimeoutMs) this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  async #write(chunks: readonly Uint8Array[]): Promise<void> {
    const stream = this.#stream;
    for (const piece of piecesOf(chunks)) {
      if (stream.write(piece)) continue;
      await new Promise<void>((resolve) => {
        stream.once('drain', resolve);
        stream.once('close', resolve);
      });
      this.#movedAt = performance.now();
      if (stream.destroyed) return;
    }
    stream.end();
  }

  #startReading(mayBorrow: boolean): BodyReader {
    if (this.#reader !== undefined) throw new ServingError('internal', 'Cannot read the body: it was read before');
    if (this.#hasLeft) throw clientLeft();
    this.#reader = new BodyReader(this.#stream, this.headers, this.#limits, mayBorrow);
    if (this.headers['expect']?.toLowerCase() === '100-continue') this.#stream.additionalHeaders({ ':status': 100 });
    return this.#reader;
  }

  #closed(): void {
    this.#connection.ended(this);
    this.#connection.heldBytes -= this.responseBytes;
    const isWhole = this.#isReplied && this.#stream.writableFinished;
    if (!isWhole) {
      this.#hasLeft = true;
      this.#reader?.fail(clientLeft());
      this.signal.abort(clientLeft());
    }
    this.#onEnd(this, isWhole ? 'replied' : 'client-left');
  }
}

function* piecesOf(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
  }
}

/** As HTTP/1.1 has them: the host instead of the pseudo-headers. */
function plainHeaders(headers: IncomingHttpHeaders): Record<string, string | undefined> {
  const plain = Object.create(null) as Record<string, string | undefined>;
  for (const name in headers) {
    const value = headers[name];
    if (name.charCodeAt(0) !== 58 && typeof value === 'string') plain[name] = value;
  }
  plain['host'] ??= headers[':authority'];
  return plain;
}
