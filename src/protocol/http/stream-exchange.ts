import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { StopSource } from '../../core/stop-signal.ts';
import { encodeHeaders, type Http2Connection, type OpenCall, type RequestHeaders, type ServerStream, type StreamListener } from '../http2/index.ts';
import { BodyReader, type BodyLimits } from './body-reader.ts';
import { clientLeft, requestId, type ExchangeEnd } from './exchange.ts';
import { bodyLength } from './reply.ts';

/** INTERNAL_ERROR of HTTP/2. */
const INTERNAL_ERROR = 2;

/** One request with its reply on a stream of an HTTP/2 connection. */
export class StreamExchange implements HttpCall, OpenCall, StreamListener {
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
  readonly #stream: ServerStream;
  readonly #connection: Http2Connection;
  readonly #limits: BodyLimits;
  readonly #rootLog: Logger;
  readonly #onEnd: (exchange: StreamExchange, end: ExchangeEnd) => void;
  #log: Logger | undefined;
  #reader: BodyReader | undefined;
  #hasLeft = false;
  #isReplied = false;

  constructor(
    stream: ServerStream,
    place: {
      readonly headers: RequestHeaders;
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
    stream.listener = this;
    // Until somebody reads the body.
    stream.pause();
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

  /** Writes the reply. A body that nobody read ends with the stream, not with the connection. Throws Error for headers that HTTP/2 cannot carry. */
  reply({ status, headers, body }: HttpReply): void {
    const stream = this.#stream;
    if (this.#hasLeft) return;
    this.status = status;
    this.responseBytes = bodyLength(body);
    const isEnd = this.responseBytes === 0 || this.method === 'HEAD';
    const own = { 'content-length': this.responseBytes, 'x-request-id': this.id, date: httpDate(Date.now()) };
    const block = encodeHeaders({ ':status': status, ...own, ...headers });
    this.#connection.heldBytes += this.responseBytes;
    this.#isReplied = true;
    stream.respond(block, isEnd);
    if (isEnd) return;
    for (const chunk of typeof body === 'string' ? [Buffer.from(body)] : (body ?? [])) stream.write(chunk);
    stream.end();
  }

  /** Nothing sensible can follow. */
  abandon(): void {
    this.#stream.reset(INTERNAL_ERROR);
  }

  /** Gives up a body that has stopped coming, and a client that takes nothing of its reply. */
  watch(now: number): void {
    this.#reader?.watch(now);
    if (this.#isReplied && now - this.#stream.movedAt >= this.#limits.bodyTimeoutMs) this.#stream.reset();
  }

  data(bytes: Buffer): boolean {
    return this.#reader?.push(bytes) ?? true;
  }

  ended(): void {
    this.#reader?.end();
  }

  closed(isWhole: boolean): void {
    this.#connection.ended(this);
    if (this.#isReplied) this.#connection.heldBytes -= this.responseBytes;
    if (!isWhole) {
      this.#hasLeft = true;
      this.#reader?.fail(clientLeft());
      this.signal.abort(clientLeft());
    }
    this.#onEnd(this, isWhole ? 'replied' : 'client-left');
  }

  #startReading(mayBorrow: boolean): BodyReader {
    if (this.#reader !== undefined) throw new ServingError('internal', 'Cannot read the body: it was read before');
    if (this.#hasLeft) throw clientLeft();
    this.#reader = new BodyReader(this.#stream, this.headers, this.#limits, mayBorrow);
    if (this.headers['expect']?.toLowerCase() === '100-continue') this.#stream.inform(encodeHeaders({ ':status': 100 }));
    this.#stream.resume();
    return this.#reader;
  }
}

let dateSecond = 0;
let dateText = '';

function httpDate(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}

/** As HTTP/1.1 has them: the host instead of the pseudo-headers. */
function plainHeaders(headers: RequestHeaders): Record<string, string | undefined> {
  const plain = Object.create(null) as Record<string, string | undefined>;
  for (const name in headers) {
    const value = headers[name];
    if (name.charCodeAt(0) !== 58 && value !== undefined) plain[name] = value;
  }
  plain['host'] ??= headers[':authority'];
  return plain;
}
