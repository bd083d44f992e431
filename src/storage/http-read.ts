import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream';
import { checksumFromBase64 } from './checksum.ts';
import { cannotDownload, TransientFailure } from './failure.ts';
import { headerOf, readSome, type HttpAnswer, type HttpClient } from './http-client.ts';
import type { ByteRange, Checksum, RemoteBytes, RemoteFile, StoreWatch } from './storage.ts';

/** A store over plain HTTP, and what its failures are called. */
export interface HttpStore {
  readonly uri: string;
  readonly http: HttpClient;
  /** `GCS`; empty for a web server. */
  readonly name: string;
  /** What to check when the store refuses who asks. */
  readonly credentialsHint: string;
}

/** An answer with success, or the failure that its status means: 408, 429 and 5xx pass, all others do not. */
export async function getFrom(store: HttpStore, url: URL, headers: Readonly<Record<string, string>>, watch: StoreWatch): Promise<HttpAnswer> {
  const answer = await store.http.send(url, {
    headers,
    watch,
    private: ['authorization', 'cookie', ...Object.keys(headers).map((name) => name.toLowerCase())].filter(isPrivate),
  });
  if (answer.status === 200 || answer.status === 206) return answer;
  const { code, retryAfterMs } = await readRefusal(answer);
  const said = code === '' ? String(answer.status) : `${answer.status} ${code}`;
  const { uri, name, credentialsHint } = store;
  const who = name === '' ? url.host : name;
  if (answer.status === 408 || answer.status === 429 || answer.status >= 500) {
    throw new TransientFailure(`${who} answered ${said}`, { retryAfterMs });
  }
  if (answer.status === 401) throw cannotDownload('unauthenticated', uri, `${who} authentication failed (${said}), ${credentialsHint}`);
  if (answer.status === 403) throw cannotDownload('permission_denied', uri, `${who} access denied (${said}), ${credentialsHint}`);
  if (answer.status === 404 || answer.status === 410)
    throw cannotDownload('model_not_found', uri, `${who} resource not found (${said}), check the path`);
  if (answer.status === 412) throw cannotDownload('conflict', uri, `it changed while it was downloaded (${said}), download again`);
  throw cannotDownload('upstream_failed', uri, `${who} failed with status code ${said}, check the URI`);
}

const HARMLESS: ReadonlySet<string> = new Set(['range', 'accept-encoding', 'if-match', 'x-ms-version', 'x-ms-date', 'user-agent', 'accept']);

function isPrivate(name: string): boolean {
  return !HARMLESS.has(name);
}

/** What a store answered instead of what it was asked for. */
export interface StoreRefusal {
  readonly status: number;
  /** Empty where the answer names none, as for a HEAD. */
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

/** A store's error code and its words, where its answer is JSON or XML. For messages alone, so nothing is parsed. */
export async function readRefusal(answer: HttpAnswer): Promise<StoreRefusal> {
  const text = await readSome(answer.body, 4096).catch(() => '');
  const code = /<Code>([\w.]{1,80})<\/Code>/.exec(text)?.[1] ?? /"(?:reason|error)"\s*:\s*"([^"\n]{1,120})"/.exec(text)?.[1] ?? '';
  const message = /<Message>([^<]{1,200})<\/Message>/.exec(text)?.[1] ?? '';
  const seconds = Number(headerOf(answer, 'retry-after'));
  return { status: answer.status, code, message, retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined };
}

export interface ReadOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** False where the URL names content that never changes, and caches put ETags of their own on it. */
  readonly comparesEtag: boolean;
}

export async function readFrom(
  store: HttpStore,
  url: URL,
  file: RemoteFile,
  range: ByteRange | undefined,
  watch: StoreWatch,
  { headers, comparesEtag }: ReadOptions,
): Promise<RemoteBytes> {
  const asked: Record<string, string> = { 'accept-encoding': 'identity', ...headers };
  if (range !== undefined) asked['range'] = `bytes=${range.start}-${range.end - 1}`;
  const answer = await getFrom(store, url, asked, watch);
  const version = versionOf(answer);
  if (comparesEtag && file.etag !== undefined && version !== file.etag) {
    answer.discard();
    throw cannotDownload('conflict', store.uri, `${JSON.stringify(file.path)} changed while it was downloaded, download again`);
  }
  if (range !== undefined && (answer.status !== 206 || !headerOf(answer, 'content-range')?.startsWith(`bytes ${range.start}-`))) {
    answer.discard();
    throw new TransientFailure(`${url.host} did not give the range that was asked for`);
  }
  const checksum = range === undefined ? checksumOf(answer) : undefined;
  const isGzip = headerOf(answer, 'content-encoding')?.toLowerCase() === 'gzip' && file.size === undefined;
  return {
    body: isGzip ? gunzip(answer.body) : answer.body,
    ...(comparesEtag && version !== undefined ? { etag: version } : {}),
    ...(checksum === undefined || isGzip ? {} : { checksum }),
  };
}

/** What tells one content of a URL from another: a strong ETag, else the time of the last change. */
export function versionOf(answer: HttpAnswer): string | undefined {
  const etag = headerOf(answer, 'etag');
  return etag !== undefined && !etag.startsWith('W/') ? etag : headerOf(answer, 'last-modified');
}

function checksumOf(answer: HttpAnswer): Checksum | undefined {
  const digest = /sha-256=:?([A-Za-z0-9+/=]+)/i.exec(headerOf(answer, 'repr-digest') ?? headerOf(answer, 'digest') ?? '')?.[1];
  return checksumFromBase64('sha256', digest) ?? checksumFromBase64('md5', headerOf(answer, 'content-md5'));
}

async function* gunzip(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const plain = createGunzip();
  // Errors of either end come out of the iteration below.
  pipeline(copies(body), plain, () => undefined);
  try {
    yield* plain as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (error instanceof TransientFailure) throw error;
    throw new TransientFailure('the answer is no valid gzip', { cause: error });
  }
}

/** The decompressor holds what it is given for longer than a chunk is valid. */
async function* copies(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of body) yield Buffer.from(chunk);
}

/** A JSON answer of bounded size. */
export async function getJson(
  store: HttpStore,
  url: URL,
  headers: Readonly<Record<string, string>>,
  watch: StoreWatch,
): Promise<{ readonly body: unknown; readonly answer: HttpAnswer }> {
  const answer = await getFrom(store, url, { accept: 'application/json', ...headers }, watch);
  const text = await readSome(answer.body, MAX_LISTING_BYTES);
  try {
    return { body: JSON.parse(text) as unknown, answer };
  } catch (error) {
    throw cannotDownload('upstream_failed', store.uri, `${url.host} answered something that is no JSON, check the endpoint`, { cause: error });
  }
}

export const MAX_LISTING_BYTES = 64 * 1024 * 1024;
