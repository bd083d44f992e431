import { cannotDownload } from './failure.ts';
import { headerOf, HttpClient } from './http-client.ts';
import { getJson, readFrom, type HttpStore } from './http-read.ts';
import { readCaBundle } from './s3-settings.ts';
import type { ByteRange, StoreWatch, OpenedSource, RemoteBytes, RemoteFile, SourceContext, StorageSource } from './storage.ts';

/** `hf://OWNER/MODEL[:REVISION]` over the Hub's API, with HF_TOKEN and HF_ENDPOINT. */
export async function openHuggingFace(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const [, owner, model, revision = 'main'] = /^hf:\/\/([^/:]+)\/([^/:]+)(?::([^:]+))?$/.exec(uri) ?? [];
  if (owner === undefined || model === undefined)
    throw cannotDownload('invalid_request', uri, `expected hf://OWNER/MODEL[:REVISION], got ${JSON.stringify(uri)}`);
  const endpoint = (ctx.env['HF_ENDPOINT'] ?? '').replace(/\/+$/, '') || 'https://huggingface.co';
  if (!URL.canParse(endpoint)) throw cannotDownload('invalid_request', uri, `HF_ENDPOINT: expected a URL, got ${JSON.stringify(endpoint)}`);
  const ca = await readCaBundle(ctx.env, 'SSL_CERT_FILE', uri);
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs: 15_000, ca });
  const token = ctx.env['HF_TOKEN'] ?? ctx.env['HUGGING_FACE_HUB_TOKEN'] ?? '';
  const store = { uri, http, name: 'Hugging Face', credentialsHint: 'set HF_TOKEN to a token that may read the model' };
  return { kind: 'remote', source: new HubSource({ store, endpoint, repository: `${owner}/${model}`, revision, token }) };
}

interface HubDeps {
  readonly store: HttpStore;
  readonly endpoint: string;
  readonly repository: string;
  readonly revision: string;
  readonly token: string;
}

interface TreeEntry {
  readonly type?: unknown;
  readonly path?: unknown;
  readonly size?: unknown;
  readonly oid?: unknown;
  readonly lfs?: { readonly oid?: unknown };
}

class HubSource implements StorageSource {
  readonly #deps: HubDeps;
  /** A commit: what a branch points to may change while files are read. */
  #commit = '';

  constructor(deps: HubDeps) {
    this.#deps = deps;
  }

  get identity(): string {
    return `${this.#deps.endpoint} ${this.#deps.repository}`;
  }

  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const { store, endpoint, repository, revision } = this.#deps;
    const api = `${endpoint}/api/models/${repository}`;
    const { body } = await getJson(store, new URL(`${api}/revision/${encodeURIComponent(revision)}`), this.#headers(), watch);
    const { sha } = body as { readonly sha?: unknown };
    if (typeof sha !== 'string')
      throw cannotDownload('upstream_failed', store.uri, 'Hugging Face did not name the commit of the revision, check HF_ENDPOINT');
    this.#commit = sha;
    const files: RemoteFile[] = [];
    let next: URL | undefined = new URL(`${api}/tree/${sha}?recursive=true`);
    while (next !== undefined) {
      const page: Awaited<ReturnType<typeof getJson>> = await getJson(store, next, this.#headers(), watch);
      for (const entry of Array.isArray(page.body) ? (page.body as readonly TreeEntry[]) : []) {
        const file = readEntry(entry);
        if (file !== undefined) files.push(file);
      }
      const link: string | undefined = /<([^>]+)>;\s*rel="next"/.exec(headerOf(page.answer, 'link') ?? '')?.[1];
      next =
        link !== undefined && URL.canParse(link, endpoint) && new URL(link, endpoint).origin === new URL(endpoint).origin
          ? new URL(link, endpoint)
          : undefined;
    }
    if (files.length === 0) throw cannotDownload('model_not_found', store.uri, `no model found in revision ${revision} of ${repository}`);
    return files;
  }

  read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    const { store, endpoint, repository } = this.#deps;
    const path = file.key.split('/').map(encodeURIComponent).join('/');
    const url = new URL(`${endpoint}/${repository}/resolve/${this.#commit}/${path}`);
    return readFrom(store, url, file, range, watch, { headers: this.#headers(), comparesEtag: false });
  }

  dispose(): void {
    this.#deps.store.http.dispose();
  }

  #headers(): Record<string, string> {
    return this.#deps.token === '' ? {} : { authorization: `Bearer ${this.#deps.token}` };
  }
}

/** Files of Git's large file storage are named by their SHA-256. */
function readEntry({ type, path, size, oid, lfs }: TreeEntry): RemoteFile | undefined {
  if (type !== 'file' || typeof path !== 'string' || typeof size !== 'number' || size === 0) return undefined;
  const sha256 = typeof lfs?.oid === 'string' && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : undefined;
  return {
    path,
    key: path,
    size,
    ...(typeof oid === 'string' ? { etag: oid } : {}),
    ...(sha256 === undefined ? {} : { checksum: { algorithm: 'sha256', hex: sha256 } }),
  };
}
