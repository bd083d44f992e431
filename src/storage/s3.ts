import { checksumFromBase64, md5OfEtag } from './checksum.ts';
import { cannotDownload } from './failure.ts';
import { headerOf, HttpClient, readSome, type HttpAnswer } from './http-client.ts';
import type { HttpMethod } from './http-head.ts';
import { MAX_LISTING_BYTES, retryAfterOf } from './http-read.ts';
import { pathBelow } from './remote-path.ts';
import { bucketUrl } from './s3-address.ts';
import { provideCredentials, type ProvideCredentials } from './s3-credentials.ts';
import { explainCredentialsFailure, explainS3Refusal, type S3Refusal } from './s3-failure.ts';
import { readS3Settings, type S3Settings } from './s3-settings.ts';
import { encodeKey, encodeName, signRequest } from './s3-signature.ts';
import type { ByteRange, Checksum, OpenedSource, RemoteBytes, RemoteFile, RetryPolicy, SourceContext, StorageSource, StoreWatch } from './storage.ts';
import { elementOf, elementsOf } from './xml.ts';

/** `s3://BUCKET/PREFIX` with the variables of KServe's storage initializer. */
export async function openS3(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const { bucket, prefix } = parseUri(uri);
  const settings = await readS3Settings(ctx.env, uri);
  const { connectTimeoutMs, verifiesTls, ca } = settings;
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs, verifiesTls, ca });
  return { kind: 'remote', source: new S3Source({ uri, bucket, prefix, settings, credentials: provideCredentials(settings), http }) };
}

function parseUri(uri: string): { readonly bucket: string; readonly prefix: string } {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/?#]*)\/*(.*)$/s.exec(uri) ?? [];
  if (!/^[a-z0-9A-Z][a-z0-9A-Z._-]{1,254}$/.test(bucket)) {
    throw cannotDownload('invalid_request', uri, `expected s3://BUCKET/PREFIX with the name of a bucket, got ${JSON.stringify(bucket)}`);
  }
  return { bucket, prefix };
}

interface S3Deps {
  readonly uri: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly settings: S3Settings;
  readonly credentials: ProvideCredentials;
  readonly http: HttpClient;
}

/** What is asked for: an object, or the bucket without `key`. */
interface S3Request {
  readonly method?: HttpMethod;
  readonly file?: RemoteFile;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Three requests are all that is needed of S3, so they are made here: the SDK's client takes 0.3 s to import and half a millisecond for each listed
 * object. Its chain of credentials is used as it is.
 */
class S3Source implements StorageSource {
  readonly #deps: S3Deps;
  readonly policy: Partial<RetryPolicy>;
  #region: string;

  constructor(deps: S3Deps) {
    this.#deps = deps;
    const { maxAttempts, readTimeoutMs, region = 'us-east-1' } = deps.settings;
    this.#region = region;
    this.policy = {
      ...(maxAttempts === undefined ? {} : { maxAttempts: Math.ceil(maxAttempts) }),
      ...(readTimeoutMs === undefined ? {} : { stallTimeoutMs: readTimeoutMs }),
    };
  }

  /** Known once it was listed. */
  get identity(): string {
    const { bucket, prefix, settings } = this.#deps;
    return `${bucketUrl(bucket, this.#region, settings)} ${prefix}`;
  }

  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const { bucket, prefix, uri } = this.#deps;
    const files: RemoteFile[] = [];
    let token: string | undefined;
    do {
      const page = await this.#listPage(token, watch);
      for (const item of elementsOf(page, 'Contents')) {
        const file = readItem(item, prefix);
        if (file?.isExact === true) return [file];
        if (file !== undefined) files.push(file);
      }
      token = elementOf(page, 'IsTruncated') === 'true' ? elementOf(page, 'NextContinuationToken') : undefined;
    } while (token !== undefined);
    if (files.length === 0) {
      throw cannotDownload(
        'model_not_found',
        uri,
        `no model found in ${JSON.stringify(prefix)} of bucket ${JSON.stringify(bucket)} (200, an empty listing), check the path`,
      );
    }
    return files;
  }

  async #listPage(token: string | undefined, watch: StoreWatch): Promise<string> {
    const { prefix, uri } = this.#deps;
    // In the order of their names, as the signature wants them.
    const query = { ...(token === undefined ? {} : { 'continuation-token': token }), 'list-type': '2', prefix };
    let answer = await this.#send({ query }, watch);
    if (answer.status !== 200) {
      const { refusal, region } = await readRefusal(answer);
      // A bucket of another region names its own.
      if (region === undefined || region === this.#region) throw this.#explain(refusal);
      this.#region = region;
      answer = await this.#send({ query }, watch);
      if (answer.status !== 200) throw this.#explain((await readRefusal(answer)).refusal);
    }
    const xml = await readSome(answer.body, MAX_LISTING_BYTES);
    if (!xml.includes('<ListBucketResult'))
      throw cannotDownload('upstream_failed', uri, 'S3 answered something that is no listing (200), check AWS_ENDPOINT_URL');
    return xml;
  }

  async describe(file: RemoteFile, watch: StoreWatch): Promise<RemoteFile> {
    const answer = await this.#send({ method: 'HEAD', file }, watch);
    if (answer.status !== 200) throw this.#explain((await readRefusal(answer)).refusal, file);
    const checksum = wholeChecksum((name) => headerOf(answer, name));
    return { ...file, ...(checksum === undefined ? {} : { checksum }) };
  }

  async read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    const headers: Record<string, string> = range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` };
    const answer = await this.#send({ file, headers }, watch);
    if (answer.status !== (range === undefined ? 200 : 206)) throw this.#explain((await readRefusal(answer)).refusal, file);
    const checksum = range === undefined ? wholeChecksum((name) => headerOf(answer, name)) : undefined;
    return { body: answer.body, ...(checksum === undefined ? {} : { checksum }) };
  }

  dispose(): void {
    this.#deps.http.dispose();
  }

  async #send({ method = 'GET', file, query, headers = {} }: S3Request, watch: StoreWatch): Promise<HttpAnswer> {
    const { http, bucket, settings, uri } = this.#deps;
    const path = file === undefined ? '' : `/${encodeKey(file.key)}`;
    const search = Object.entries(query ?? {}).map(([name, value]) => `${name}=${encodeName(value)}`);
    const url = new URL(`${bucketUrl(bucket, this.#region, settings)}${path}${search.length === 0 ? '' : `?${search.join('&')}`}`);
    const credentials = await this.#deps.credentials().catch((error: unknown) => {
      throw explainCredentialsFailure(error, { uri });
    });
    const asked: Record<string, string> = file === undefined ? {} : { 'x-amz-checksum-mode': 'ENABLED' };
    const signed = credentials === undefined ? asked : signRequest(method, url, asked, { region: this.#region, credentials, now: new Date() });
    const condition: Record<string, string> = file?.etag === undefined ? {} : { 'if-match': file.etag };
    return http.send(url, { method, headers: { ...signed, ...headers, ...condition }, watch, followsRedirects: false });
  }

  #explain(refusal: S3Refusal, file?: RemoteFile): Error {
    const { uri, bucket } = this.#deps;
    return explainS3Refusal(refusal, { uri, bucket, key: file?.key });
  }
}

function readItem(xml: string, prefix: string): RemoteFile | undefined {
  const key = elementOf(xml, 'Key');
  const size = Number(elementOf(xml, 'Size'));
  // Folders made by hand, and markers of folders.
  if (key === undefined || key.endsWith('/') || !(size > 0)) return undefined;
  const path = pathBelow(prefix, key);
  if (path === undefined) return undefined;
  const etag = elementOf(xml, 'ETag');
  return { path, key, size, ...(etag === undefined ? {} : { etag }), ...(key === prefix ? { isExact: true } : {}) };
}

async function readRefusal(answer: HttpAnswer): Promise<{ readonly refusal: S3Refusal; readonly region: string | undefined }> {
  const text = await readSome(answer.body, 16_384);
  const refusal = {
    status: answer.status,
    code: elementOf(text, 'Code') ?? '',
    message: elementOf(text, 'Message') ?? '',
    retryAfterMs: retryAfterOf(answer),
  };
  return { refusal, region: headerOf(answer, 'x-amz-bucket-region') ?? elementOf(text, 'Region') };
}

const HEADER_CHECKSUMS = ['crc32', 'crc64nvme', 'crc32c', 'sha256', 'sha1'] as const;

/** The one that is cheapest to verify. Checksums of parts have `-N` at their end, or say that they are composite. */
function wholeChecksum(header: (name: string) => string | undefined): Checksum | undefined {
  const type = header('x-amz-checksum-type');
  // Of an object put in parts only what says so is of the whole: some stores give a checksum of checksums without a word.
  if (type === 'FULL_OBJECT' || (type === undefined && !/-\d+"?$/.test(header('etag') ?? ''))) {
    for (const algorithm of HEADER_CHECKSUMS) {
      const found = checksumFromBase64(algorithm, header(`x-amz-checksum-${algorithm}`));
      if (found !== undefined) return found;
    }
  }
  // The ETag of an object that is encrypted by a key of its owner is no MD5.
  const encryption = header('x-amz-server-side-encryption');
  const isPlain = header('x-amz-server-side-encryption-customer-algorithm') === undefined && (encryption === undefined || encryption === 'AES256');
  return isPlain ? md5OfEtag(header('etag')) : undefined;
}
