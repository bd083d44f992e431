import { azureAuthorizer, type Authorize } from './azure-auth.ts';
import { checksumFromBase64 } from './checksum.ts';
import { cannotDownload } from './failure.ts';
import { HttpClient, readSome } from './http-client.ts';
import { getFrom, MAX_LISTING_BYTES, readFrom, type HttpStore } from './http-read.ts';
import { pathBelow } from './remote-path.ts';
import { readCaBundle } from './s3-settings.ts';
import type { ByteRange, Environment, StoreWatch, OpenedSource, RemoteBytes, RemoteFile, SourceContext, StorageSource } from './storage.ts';
import { parseBlobList, type ListedBlob } from './azure-listing.ts';

interface Location {
  readonly account: string;
  /** Of the account, without `/` at its end. */
  readonly endpoint: string;
  readonly container: string;
  readonly prefix: string;
  /** A shared access signature that the URI brings. */
  readonly sas: string;
}

/** `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`, or `azure://ACCOUNT/CONTAINER/PREFIX`. */
export async function openAzure(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const location = parseUri(uri, ctx.env);
  const ca = await readCaBundle(ctx.env, 'SSL_CERT_FILE', uri);
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs: 15_000, ca });
  const credentialsHint = 'set AZURE_STORAGE_ACCESS_KEY, or AZ_TENANT_ID, AZ_CLIENT_ID and AZ_CLIENT_SECRET, or give a signature in the URI';
  const store = { uri, http, name: 'Azure', credentialsHint };
  return { kind: 'remote', source: new AzureSource(store, location, azureAuthorizer(ctx.env, location.account, uri)) };
}

function parseUri(uri: string, env: Environment): Location {
  const short = /^azure:\/\/([a-z0-9]{3,24})\/([^/?#]+)\/*([^?#]*)(?:\?([^#]*))?/s.exec(uri);
  const full = /^https:\/\/([a-z0-9]{3,24})(\.[^/]*)?\/([^/?#]+)\/*([^?#]*)(?:\?([^#]*))?/s.exec(uri);
  const [account, container, prefix = '', sas = ''] = short?.slice(1) ?? (full === null ? [] : [full[1], full[3], full[4], full[5]]);
  if (account === undefined || container === undefined) {
    throw cannotDownload(
      'invalid_request',
      uri,
      `expected https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX or azure://ACCOUNT/CONTAINER/PREFIX, got ${JSON.stringify(uri.replace(/\?.*$/s, ''))}`,
    );
  }
  const own = (env['AZURE_STORAGE_BLOB_ENDPOINT'] ?? '').replace(/\/+$/, '');
  if (own !== '' && !URL.canParse(own))
    throw cannotDownload('invalid_request', uri, `AZURE_STORAGE_BLOB_ENDPOINT: expected a URL, got ${JSON.stringify(own)}`);
  const host = full === null ? `${account}.blob.core.windows.net` : `${account}${full[2] ?? ''}`;
  let path = prefix;
  try {
    path = decodeURIComponent(prefix);
  } catch {
    // A percent sign that escapes nothing is one.
  }
  return { account, endpoint: own === '' ? `https://${host}` : own, container, prefix: path, sas };
}

class AzureSource implements StorageSource {
  readonly #store: HttpStore;
  readonly #location: Location;
  readonly #authorize: Authorize;

  constructor(store: HttpStore, location: Location, authorize: Authorize) {
    this.#store = store;
    this.#location = location;
    this.#authorize = authorize;
  }

  get identity(): string {
    const { endpoint, account, container, prefix } = this.#location;
    return `${endpoint} ${account}/${container}/${prefix}`;
  }

  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const { container, prefix } = this.#location;
    const files: RemoteFile[] = [];
    let marker = '';
    do {
      const url = this.#url('');
      for (const [name, value] of Object.entries({ restype: 'container', comp: 'list', prefix, marker }))
        if (value !== '') url.searchParams.set(name, value);
      const answer = await getFrom(this.#store, url, await this.#authorize(url, {}, watch.signal), watch);
      const page = await parseBlobList(await readSome(answer.body, MAX_LISTING_BYTES));
      if (page === undefined)
        throw cannotDownload('upstream_failed', this.#store.uri, 'Azure answered something that is no listing (200), check the host of the URI');
      for (const blob of page.blobs) {
        const file = readBlob(blob, prefix);
        if (file?.isExact === true) return [file];
        if (file !== undefined) files.push(file);
      }
      marker = page.nextMarker;
    } while (marker !== '');
    if (files.length === 0)
      throw cannotDownload(
        'model_not_found',
        this.#store.uri,
        `no model found in ${JSON.stringify(prefix)} of container ${JSON.stringify(container)} (200, an empty listing), check the path`,
      );
    return files;
  }

  async read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    const url = this.#url(`/${file.key.split('/').map(encodeURIComponent).join('/')}`);
    const conditions: Record<string, string> = file.etag === undefined ? {} : { 'if-match': file.etag };
    // Signed, so it must be known here and not be added behind the signature.
    if (range !== undefined) conditions['range'] = `bytes=${range.start}-${range.end - 1}`;
    const headers = await this.#authorize(url, conditions, watch.signal);
    return readFrom(this.#store, url, file, range, watch, { headers: { ...conditions, ...headers }, comparesEtag: true });
  }

  dispose(): void {
    this.#store.http.dispose();
  }

  #url(path: string): URL {
    const { endpoint, container, sas } = this.#location;
    return new URL(`${endpoint}/${container}${path}${sas === '' ? '' : `?${sas}`}`);
  }
}

function readBlob({ name, size, etag, md5 }: ListedBlob, prefix: string): RemoteFile | undefined {
  // Folders of hierarchical accounts are empty blobs.
  if (name.endsWith('/') || !(size > 0)) return undefined;
  const path = pathBelow(prefix, name);
  if (path === undefined) return undefined;
  const quoted = etag === undefined || etag.startsWith('"') ? etag : `"${etag}"`;
  const checksum = checksumFromBase64('md5', md5);
  return {
    path,
    key: name,
    size,
    ...(quoted === undefined ? {} : { etag: quoted }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(name === prefix ? { isExact: true } : {}),
  };
}
