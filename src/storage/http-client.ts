import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls, createSecureContext, rootCertificates, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { BufferPool } from './buffer-pool.ts';
import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';
import { HttpConnection, type Exchange } from './http-connection.ts';
import type { HttpMethod } from './http-head.ts';
import type { StoreWatch } from './storage.ts';

export interface HttpClientOptions {
  readonly uri: string;
  /** Requests at the same time, at most: who calls sees to that. */
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly verifiesTls?: boolean;
  /** PEM, beside the system's own. */
  readonly ca?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read to its end, or discarded, or the signal aborted. A chunk is valid until the next one is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Frees the connection without reading. */
  discard(): void;
  /** What follows the last redirect. */
  readonly url: URL;
}

export interface HttpRequest {
  readonly method?: HttpMethod;
  readonly headers: Readonly<Record<string, string>>;
  /** Told of all bytes that arrive, before they make a chunk of the body. */
  readonly watch: StoreWatch;
  /** Headers that another host must not see, in lower case. */
  readonly private?: readonly string[];
  /** False where a redirect means a new signature. */
  readonly followsRedirects?: boolean;
}

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What one write to disk takes: each is handed to another thread, which costs as much for few bytes as for many. */
const LARGEST_BUFFER_BYTES = 1024 * 1024;
/** Of all connections together, each with one buffer being filled and two that wait. */
const MAX_BUFFERED_BYTES = 96 * 1024 * 1024;

/** GET and HEAD, nothing else, over connections that are kept; faults of the network are TransientFailures, of requests and of bodies alike. */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #buffers: BufferPool;
  readonly #open = new Set<HttpConnection>();
  readonly #idle = new Map<string, HttpConnection[]>();
  readonly #tlsSessions = new Map<string, Buffer>();
  /** Reading a hundred certificates takes longer than a connection. */
  #trusted: SecureContext | undefined;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    const perConnection = Math.floor(MAX_BUFFERED_BYTES / 3 / options.maxConnections);
    this.#buffers = new BufferPool(Math.max(64 * 1024, Math.min(LARGEST_BUFFER_BYTES, perConnection)), 3 * options.maxConnections);
  }

  /** Follows redirects; only https after https. */
  async send(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    let current = url;
    let { headers } = request;
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#once(current, headers, request);
      const location = answer.headers['location'];
      if (request.followsRedirects === false || !REDIRECTS.has(answer.status) || location === undefined) return answer;
      answer.discard();
      const next = URL.canParse(location, current.href) ? new URL(location, current.href) : undefined;
      const isAllowed = next?.protocol === 'https:' || (next?.protocol === 'http:' && current.protocol === 'http:');
      if (next === undefined || !isAllowed || redirects === MAX_REDIRECTS) {
        throw cannotDownload(
          'upstream_failed',
          this.#options.uri,
          `${current.host} redirects (${answer.status}) to where it cannot be followed, give the final URL`,
        );
      }
      if (next.host !== current.host)
        headers = Object.fromEntries(Object.entries(headers).filter(([name]) => request.private?.includes(name.toLowerCase()) !== true));
      current = next;
    }
  }

  dispose(): void {
    for (const connection of this.#open) connection.destroy();
  }

  async #once(url: URL, headers: Readonly<Record<string, string>>, { method = 'GET', watch }: HttpRequest): Promise<HttpAnswer> {
    const text = this.#write(url, method, headers);
    try {
      const kept = this.#idle.get(url.origin)?.pop();
      const { head, body } =
        kept === undefined
          ? this.#exchange(await this.#connect(url, watch.signal), url, text, method, watch)
          : await this.#exchangeOnKept(kept, url, text, method, watch);
      const { status, headers: answered } = await head;
      const discard = (): void => {
        body.discard();
      };
      return { status, headers: answered, body: this.#read(body, url, watch.signal), discard, url };
    } catch (error) {
      throw this.#explain(error, url, watch.signal);
    }
  }

  /** A store may close a connection at the very moment it is used again: that is nobody's fault and not worth a wait. */
  async #exchangeOnKept(kept: HttpConnection, url: URL, text: string, method: HttpMethod, watch: StoreWatch): Promise<Exchange> {
    const exchange = this.#exchange(kept, url, text, method, watch);
    try {
      await exchange.head;
      return exchange;
    } catch (error) {
      if (!kept.isSilent || watch.signal.aborted) throw error;
      return this.#exchange(await this.#connect(url, watch.signal), url, text, method, watch);
    }
  }

  #exchange(connection: HttpConnection, url: URL, text: string, method: HttpMethod, watch: StoreWatch): Exchange {
    const onAbort = (): void => {
      connection.destroy(watch.signal.reason instanceof Error ? watch.signal.reason : new Error('told to stop'));
    };
    watch.signal.addEventListener('abort', onAbort, { once: true });
    const exchange = connection.exchange(
      text,
      method,
      () => {
        watch.alive();
      },
      (isReusable) => {
        watch.signal.removeEventListener('abort', onAbort);
        if (!isReusable) return;
        const idle = this.#idle.get(url.origin);
        if (idle === undefined) this.#idle.set(url.origin, [connection]);
        else idle.push(connection);
      },
    );
    if (watch.signal.aborted) onAbort();
    return exchange;
  }

  #write(url: URL, method: HttpMethod, headers: Readonly<Record<string, string>>): string {
    let text = `${method} ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n`;
    for (const [name, value] of Object.entries(headers)) {
      if (name.toLowerCase() === 'host') continue;
      if (!/^[!#$%&'*+\-.^_`|~\w]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
        throw cannotDownload('invalid_request', this.#options.uri, `the header ${JSON.stringify(name)} has a character that HTTP does not allow`);
      }
      text += `${name}: ${value}\r\n`;
    }
    return `${text}\r\n`;
  }

  #connect(url: URL, signal: AbortSignal): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const isTls = url.protocol === 'https:';
      const connection = new HttpConnection((onread) => {
        const host = url.hostname.replace(/^\[|\]$/g, '');
        const address = { host, port: Number(url.port === '' ? (isTls ? 443 : 80) : url.port), onread, noDelay: true };
        return isTls ? this.#connectTls(address, url.origin) : connectTcp(address);
      }, this.#buffers);
      const { socket } = connection;
      this.#open.add(connection);
      socket.once('close', () => {
        this.#open.delete(connection);
        const idle = this.#idle.get(url.origin);
        const index = idle?.indexOf(connection) ?? -1;
        if (index >= 0) idle?.splice(index, 1);
      });
      const fail = (error: Error): void => {
        settle();
        socket.destroy();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT' }));
      }, this.#options.connectTimeoutMs);
      const onAbort = (): void => {
        fail(signal.reason instanceof Error ? signal.reason : new Error('told to stop'));
      };
      const onClose = (): void => {
        fail(new Error('premature close'));
      };
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        socket.off('error', fail).off('close', onClose);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      socket.once('error', fail).once('close', onClose);
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        settle();
        resolve(connection);
      });
      if (signal.aborted) onAbort();
    });
  }

  #connectTls(address: ConnectionOptions & { readonly host: string }, origin: string): TLSSocket {
    const { ca, verifiesTls = true } = this.#options;
    const session = this.#tlsSessions.get(origin);
    if (ca !== undefined) this.#trusted ??= createSecureContext({ ca: [...rootCertificates, ca] });
    const socket = connectTls({
      ...address,
      // An address is no name that a certificate could be chosen by.
      ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
      rejectUnauthorized: verifiesTls,
      ...(session === undefined ? {} : { session }),
      ...(this.#trusted === undefined ? {} : { secureContext: this.#trusted }),
    });
    socket.on('session', (fresh) => this.#tlsSessions.set(origin, fresh));
    return socket;
  }

  async *#read(body: Exchange['body'], url: URL, signal: AbortSignal): AsyncIterable<Uint8Array> {
    try {
      yield* body.read();
    } catch (error) {
      throw this.#explain(error, url, signal);
    }
  }

  #explain(error: unknown, url: URL, signal: AbortSignal): Error {
    if (signal.aborted) return error instanceof Error ? error : new Error(String(error));
    const fault = networkFailure(error, url.origin);
    if (typeof fault === 'string') return cannotDownload('upstream_failed', this.#options.uri, fault, { cause: error });
    return fault ?? new TransientFailure(`${url.origin} failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Some of a body, for messages. */
export async function readSome(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    // Its memory is used again.
    chunks.push(Buffer.from(chunk));
    bytes += chunk.byteLength;
    if (bytes >= maxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, maxBytes);
}

/** A header that may not be there twice. */
export function headerOf(answer: Pick<HttpAnswer, 'headers'>, name: string): string | undefined {
  return answer.headers[name];
}
