import { checksumFromBase64 } from './checksum.ts';
import { cannotDownload } from './failure.ts';
import { googleToken } from './gcs-token.ts';
import { HttpClient } from './http-client.ts';
import { getJson, readFrom, type HttpStore } from './http-read.ts';
import { pathBelow } from './remote-path.ts';
import { readCaBundle } from './s3-settings.ts';
import type { ByteRange, Environment, StoreWatch, OpenedSource, RemoteBytes, RemoteFile, SourceContext, StorageSource } from './storage.ts';

/** `gs://BUCKET/PREFIX` over the JSON API; rules of names as for S3. */
export async function openGcs(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const [, bucket = '', prefix = ''] = /^gs:\/\/([^/?#]*)\/*(.*)$/s.exec(uri) ?? [];
  if (!/^[a-z0-9][a-z0-9._-]{1,221}$/.test(bucket))
    throw cannotDownload('invalid_request', uri, `expected gs://BUCKET/PREFIX with the name of a bucket, got ${JSON.stringify(bucket)}`);
  const ca = await readCaBundle(ctx.env, 'SSL_CERT_FILE', uri);
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs: 15_000, ca });
  const store = {
    uri,
    http,
    name: 'GCS',
    credentialsHint: 'set GOOGLE_APPLICATION_CREDENTIALS, or give the service account storage.objects.list and storage.objects.get',
  };
  return { kind: 'remote', source: new GcsSource({ store, bucket, prefix, env: ctx.env, endpoint: readEndpoint(ctx.env, uri) }) };
}

function readEndpoint(env: Environment, uri: string): string {
  const written = (env['STORAGE_EMULATOR_HOST'] ?? '').replace(/\/+$/, '');
  if (written === '') return 'https://storage.googleapis.com';
  const endpoint = /^https?:\/\//.test(written) ? written : `http://${written}`;
  if (!URL.canParse(endpoint)) throw cannotDownload('invalid_request', uri, `STORAGE_EMULATOR_HOST: expected a URL, got ${JSON.stringify(written)}`);
  return endpoint;
}

interface GcsDeps {
  readonly store: HttpStore;
  readonly bucket: string;
  readonly prefix: string;
  readonly env: Environment;
  readonly endpoint: string;
}

interface Listed {
  readonly name?: string;
  readonly size?: string;
  readonly crc32c?: string;
  readonly generation?: string;
  readonly contentEncoding?: string;
}

class GcsSource implements StorageSource {
  readonly #deps: GcsDeps;
  #token: { readonly value: string | undefined; readonly until: number } = { value: undefined, until: 0 };
  #asking: Promise<void> | undefined;

  constructor(deps: GcsDeps) {
    this.#deps = deps;
  }

  get identity(): string {
    const { endpoint, bucket, prefix } = this.#deps;
    return `${endpoint} ${bucket}/${prefix}`;
  }

  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const { store, bucket, prefix, endpoint } = this.#deps;
    const files: RemoteFile[] = [];
    let pageToken: string | undefined;
    do {
      const url = new URL(`${endpoint}/storage/v1/b/${bucket}/o`);
      url.searchParams.set('prefix', prefix);
      url.searchParams.set('fields', 'items(name,size,crc32c,generation,contentEncoding),nextPageToken');
      if (pageToken !== undefined) url.searchParams.set('pageToken', pageToken);
      const { body } = await getJson(store, url, await this.#headers(watch.signal), watch);
      const page = body as { readonly items?: readonly Listed[]; readonly nextPageToken?: string };
      for (const item of page.items ?? []) {
        const file = readItem(item, prefix);
        if (file?.isExact === true) return [file];
        if (file !== undefined) files.push(file);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    if (files.length === 0)
      throw cannotDownload(
        'model_not_found',
        store.uri,
        `no model found in ${JSON.stringify(prefix)} of bucket ${JSON.stringify(bucket)} (200, an empty listing), check the path`,
      );
    return files;
  }

  async read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    const { store, bucket, endpoint } = this.#deps;
    const url = new URL(`${endpoint}/storage/v1/b/${bucket}/o/${encodeURIComponent(file.key)}`);
    url.searchParams.set('alt', 'media');
    // Names this very content: it never changes, and is gone when it was overwritten.
    if (file.etag !== undefined) url.searchParams.set('generation', file.etag);
    return readFrom(store, url, file, range, watch, { headers: await this.#headers(watch.signal), comparesEtag: false });
  }

  dispose(): void {
    this.#deps.store.http.dispose();
  }

  async #headers(signal: AbortSignal): Promise<Record<string, string>> {
    if (Date.now() >= this.#token.until) {
      this.#asking ??= this.#askToken(signal).finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    }
    return this.#token.value === undefined ? {} : { authorization: `Bearer ${this.#token.value}` };
  }

  async #askToken(signal: AbortSignal): Promise<void> {
    this.#token = await googleToken(this.#deps.env, this.#deps.store.uri, signal);
  }
}

function readItem({ name, size, crc32c, generation, contentEncoding }: Listed, prefix: string): RemoteFile | undefined {
  if (name === undefined || name.endsWith('/') || size === '0') return undefined;
  const path = pathBelow(prefix, name);
  if (path === undefined) return undefined;
  const exact = name === prefix ? { isExact: true as const } : {};
  const etag = generation === undefined ? {} : { etag: generation };
  // Stored compressed, given plain: neither the size nor the checksum is that of what arrives.
  if (contentEncoding === 'gzip') return { path, key: name, size: undefined, isWholeOnly: true, ...etag, ...exact };
  const checksum = checksumFromBase64('crc32c', crc32c);
  return { path, key: name, size: size === undefined ? undefined : Number(size), ...etag, ...exact, ...(checksum === undefined ? {} : { checksum }) };
}
