import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { rootCertificates } from 'node:tls';
import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';

export interface HttpClientOptions {
  readonly uri: string;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly verifiesTls?: boolean;
  /** PEM, beside the system's own. */
  readonly ca?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read to its end, or drained, or the signal aborted. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Frees the connection without reading. */
  discard(): void;
  /** What follows the last redirect. */
  readonly url: URL;
}

export interface HttpGet {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Headers that another host must not see, in lower case. */
  readonly private?: readonly string[];
}

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** GET and nothing else, over connections that are kept; faults of the network are TransientFailures, of requests and of bodies alike. */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    const { maxConnections: maxSockets, ca, verifiesTls = true } = options;
    this.#http = new HttpAgent({ keepAlive: true, maxSockets });
    this.#https = new HttpsAgent({
      keepAlive: true,
      maxSockets,
      rejectUnauthorized: verifiesTls,
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
    });
  }

  /** Follows redirects; only https after https. */
  async get(url: URL, request: HttpGet): Promise<HttpAnswer> {
    let current = url;
    let { headers } = request;
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#once(current, headers, request.signal);
      const location = answer.headers['location'];
      if (!REDIRECTS.has(answer.status) || typeof location !== 'string') return answer;
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
    this.#http.destroy();
    this.#https.destroy();
  }

  #once(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer> {
    const { connectTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const isHttps = url.protocol === 'https:';
      const request = (isHttps ? httpsGet : httpGet)(url, { agent: isHttps ? this.#https : this.#http, headers, signal });
      request.on('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(() => {
          request.destroy(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT' }));
        }, connectTimeoutMs);
        const done = (): void => {
          clearTimeout(timer);
        };
        socket.once(isHttps ? 'secureConnect' : 'connect', done).once('close', done);
      });
      request.on('error', (error) => {
        reject(this.#explain(error, url, signal));
      });
      request.on('response', (response) => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: this.#read(response, url, signal),
          discard: () => {
            response.destroy();
          },
          url,
        });
      });
    });
  }

  async *#read(response: IncomingMessage, url: URL, signal: AbortSignal): AsyncIterable<Uint8Array> {
    try {
      yield* response as AsyncIterable<Uint8Array>;
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
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes >= maxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, maxBytes);
}

/** A header that may not be there twice. */
export function headerOf(answer: Pick<HttpAnswer, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : undefined;
}
