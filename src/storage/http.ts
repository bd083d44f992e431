import { archiveFormat, type ArchiveFormat } from './archive/format.ts';
import { cannotDownload } from './failure.ts';
import { headerOf, HttpClient, type HttpAnswer } from './http-client.ts';
import { getFrom, readFrom, versionOf, type HttpStore } from './http-read.ts';
import { readCaBundle } from './s3-settings.ts';
import type { ByteRange, Environment, StoreWatch, OpenedSource, RemoteBytes, RemoteFile, SourceContext, StorageSource } from './storage.ts';

const CONNECT_TIMEOUT_MS = 15_000;

/** One file of a web server: `https://host/path/model.onnx`, or an archive, which is unpacked. */
export async function openHttp(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  if (!URL.canParse(uri)) throw cannotDownload('invalid_request', uri, `expected a URL, got ${JSON.stringify(uri)}`);
  const url = new URL(uri);
  const ca = await readCaBundle(ctx.env, 'SSL_CERT_FILE', uri);
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs: CONNECT_TIMEOUT_MS, ca });
  const headers = { ...basicOf(url), ...readHeaders(url, ctx.env, uri) };
  url.username = '';
  url.password = '';
  return { kind: 'remote', source: new HttpSource(url, headers, { uri, http, name: '', credentialsHint: `set ${url.hostname}-headers` }) };
}

/** KServe's way to give headers: a variable named `<host>-headers` with a JSON object. */
function readHeaders(url: URL, env: Environment, uri: string): Record<string, string> {
  const variable = `${url.hostname}-headers`;
  const written = env[variable];
  if (written === undefined || written.trim() === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(written);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || !Object.values(parsed).every((value) => typeof value === 'string')) {
    throw cannotDownload('invalid_request', uri, `expected a JSON object of strings in ${variable}, got something else`);
  }
  return Object.fromEntries(Object.entries(parsed as Record<string, string>).map(([name, value]) => [name.toLowerCase(), value]));
}

function basicOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  return { authorization: `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}` };
}

class HttpSource implements StorageSource {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #store: HttpStore;

  constructor(url: URL, headers: Readonly<Record<string, string>>, store: HttpStore) {
    this.#url = url;
    this.#headers = headers;
    this.#store = store;
  }

  /** One byte is asked for: a signed URL is good for GET only, and the answer tells size, version and whether ranges work. */
  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const answer = await getFrom(this.#store, this.#url, { 'accept-encoding': 'identity', range: 'bytes=0-0', ...this.#headers }, watch);
    answer.discard();
    const path = this.#fileName();
    this.#checkType(answer, path);
    const etag = versionOf(answer);
    const base = { path, key: path, isExact: true as const, ...(etag === undefined ? {} : { etag }) };
    if (answer.status === 206) {
      const total = /^bytes \d+-\d+\/(\d+)$/.exec(headerOf(answer, 'content-range') ?? '')?.[1];
      if (total !== undefined) return [{ ...base, size: Number(total) }];
    }
    const length = headerOf(answer, 'content-length');
    const isPlain = answer.status === 200 && headerOf(answer, 'content-encoding') === undefined && length !== undefined;
    return [{ ...base, size: isPlain ? Number(length) : undefined, isWholeOnly: true }];
  }

  read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    return readFrom(this.#store, this.#url, file, range, watch, { headers: this.#headers, comparesEtag: true });
  }

  dispose(): void {
    this.#store.http.dispose();
  }

  #fileName(): string {
    const name = lastSegment(this.#url.pathname);
    // `/download?path=/v1/model.zip`: as for KServe the query may name the archive that the path does not.
    const asked = lastSegment(this.#url.search.replaceAll('=', '/'));
    if (archiveFormat(name) === undefined && archiveFormat(asked) !== undefined) return asked;
    if (name === '') throw cannotDownload('invalid_request', this.#store.uri, 'expected the URL of a file, got one that ends in "/" or has no path');
    return name;
  }

  /** A page of a login or an error that says 200 is no model. */
  #checkType(answer: HttpAnswer, path: string): void {
    const type = (headerOf(answer, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    const format = archiveFormat(path);
    const isWrong = type === 'text/html' ? !/\.html?$/i.test(path) : format !== undefined && type !== '' && !ARCHIVE_TYPES[format].test(type);
    if (!isWrong) return;
    const expected = format === undefined ? 'a file (application/octet-stream)' : `an archive (${format})`;
    throw cannotDownload(
      'upstream_failed',
      this.#store.uri,
      `expected ${expected}, got Content-Type ${JSON.stringify(type)} (${answer.status}), check the URL and its credentials`,
    );
  }
}

const TAR_TYPES = /^(application|multipart|binary)\/(octet-stream|x-octet-stream|x-tar|tar|gzip|x-gzip|x-compressed|x-compressed-tar|x-tgz|x-gtar)$/;
/** What web servers call them; a wrong one is an answer about something else. */
const ARCHIVE_TYPES: Readonly<Record<ArchiveFormat, RegExp>> = {
  zip: /^(application|multipart|binary)\/(octet-stream|x-octet-stream|zip|x-zip|zip-compressed|x-zip-compressed|x-compressed)$/,
  tar: TAR_TYPES,
  'tar.gz': TAR_TYPES,
};

function lastSegment(written: string): string {
  let path = written;
  try {
    path = decodeURIComponent(written);
  } catch {
    // A percent sign that escapes nothing is one.
  }
  return path.slice(path.lastIndexOf('/') + 1);
}
