import type { _Object, ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { checksumFromBase64, md5OfEtag } from './checksum.ts';
import { cannotDownload } from './failure.ts';
import { headerOf, HttpClient } from './http-client.ts';
import { readRefusal } from './http-read.ts';
import { pathBelow } from './remote-path.ts';
import { connectS3, type S3Connection } from './s3-connection.ts';
import { explainCredentialsFailure, explainS3Failure, explainS3Refusal, regionNamedBy } from './s3-failure.ts';
import { readS3Settings, type S3Settings } from './s3-settings.ts';
import type { ByteRange, Checksum, OpenedSource, RemoteBytes, RemoteFile, RetryPolicy, SourceContext, StorageSource, StoreWatch } from './storage.ts';

/** `s3://BUCKET/PREFIX` with the variables of KServe's storage initializer. */
export async function openS3(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const { bucket, prefix } = parseUri(uri);
  const settings = await readS3Settings(ctx.env, uri);
  const { connectTimeoutMs, verifiesTls, ca, region = 'us-east-1' } = settings;
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs, verifiesTls, ca });
  const connect = (inRegion: string): Promise<S3Connection> => connectS3(settings, inRegion, ctx.maxConnections);
  return { kind: 'remote', source: new S3Source({ uri, bucket, prefix, settings, connect, http }, await connect(region)) };
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
  readonly connect: (region: string) => Promise<S3Connection>;
  readonly http: HttpClient;
}

/** The SDK lists, and signs what is read; contents go from sockets to disk without it, whose streams copy them and take several times as long. */
class S3Source implements StorageSource {
  readonly #deps: S3Deps;
  readonly policy: Partial<RetryPolicy>;
  #s3: S3Connection;

  constructor(deps: S3Deps, s3: S3Connection) {
    this.#deps = deps;
    this.#s3 = s3;
    const { maxAttempts, readTimeoutMs } = deps.settings;
    this.policy = {
      ...(maxAttempts === undefined ? {} : { maxAttempts: Math.ceil(maxAttempts) }),
      ...(readTimeoutMs === undefined ? {} : { stallTimeoutMs: readTimeoutMs }),
    };
  }

  /** Known once it was listed. */
  get identity(): string {
    return `${this.#s3.urlOf('').href} ${this.#deps.prefix}`;
  }

  async list(watch: StoreWatch): Promise<readonly RemoteFile[]> {
    const { bucket, prefix, uri } = this.#deps;
    const files: RemoteFile[] = [];
    let token: string | undefined;
    do {
      const page = await this.#listPage(token, watch);
      for (const item of page.Contents ?? []) {
        const file = readItem(item, prefix);
        if (file?.isExact === true) return [file];
        if (file !== undefined) files.push(file);
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
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

  async #listPage(token: string | undefined, watch: StoreWatch): Promise<ListObjectsV2CommandOutput> {
    const { bucket, prefix, uri, connect } = this.#deps;
    const input = { Bucket: bucket, Prefix: prefix, ...(token === undefined ? {} : { ContinuationToken: token }) };
    const send = async ({ sdk, client }: S3Connection): Promise<ListObjectsV2CommandOutput> =>
      client.send(new sdk.ListObjectsV2Command(input), { abortSignal: watch.signal });
    await this.#checkCredentials();
    const page = await send(this.#s3)
      .catch(async (error: unknown) => {
        // A bucket of another region names its own.
        const region = regionNamedBy(error);
        if (region === undefined || region === this.#s3.region) throw error;
        this.#s3.client.destroy();
        this.#s3 = await connect(region);
        return send(this.#s3);
      })
      .catch((error: unknown) => this.#fail(error));
    watch.alive();
    if (page.Name === undefined && page.KeyCount === undefined && page.Contents === undefined)
      throw cannotDownload('upstream_failed', uri, 'S3 answered something that is no listing (200), check AWS_ENDPOINT_URL');
    return page;
  }

  async describe(file: RemoteFile, watch: StoreWatch): Promise<RemoteFile> {
    const { sdk, client } = this.#s3;
    const condition = file.etag === undefined ? {} : { IfMatch: file.etag };
    const command = new sdk.HeadObjectCommand({ Bucket: this.#deps.bucket, Key: file.key, ChecksumMode: 'ENABLED', ...condition });
    const head = await client.send(command, { abortSignal: watch.signal }).catch((error: unknown) => this.#fail(error, file));
    const headers: Readonly<Record<string, string | undefined>> = {
      etag: head.ETag,
      'x-amz-checksum-type': head.ChecksumType,
      'x-amz-checksum-crc32': head.ChecksumCRC32,
      'x-amz-checksum-crc32c': head.ChecksumCRC32C,
      'x-amz-checksum-crc64nvme': head.ChecksumCRC64NVME,
      'x-amz-checksum-sha1': head.ChecksumSHA1,
      'x-amz-checksum-sha256': head.ChecksumSHA256,
      'x-amz-server-side-encryption': head.ServerSideEncryption,
      'x-amz-server-side-encryption-customer-algorithm': head.SSECustomerAlgorithm,
    };
    const checksum = wholeChecksum((name) => headers[name]);
    return { ...file, ...(checksum === undefined ? {} : { checksum }) };
  }

  async read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes> {
    const { http } = this.#deps;
    const url = this.#s3.urlOf(file.key);
    await this.#checkCredentials();
    const headers = {
      ...(await this.#s3.sign(url, { 'x-amz-checksum-mode': 'ENABLED' })),
      ...(range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` }),
      ...(file.etag === undefined ? {} : { 'if-match': file.etag }),
    };
    // A signature is of one URL.
    const answer = await http.send(url, { headers, watch, followsRedirects: false });
    if (answer.status !== (range === undefined ? 200 : 206)) {
      const { uri, bucket } = this.#deps;
      throw explainS3Refusal(await readRefusal(answer), { uri, bucket, key: file.key });
    }
    const checksum = range === undefined ? wholeChecksum((name) => headerOf(answer, name)) : undefined;
    return { body: answer.body, ...(checksum === undefined ? {} : { checksum }) };
  }

  dispose(): void {
    this.#s3.client.destroy();
    this.#deps.http.dispose();
  }

  /** Before a request, so that what fails is known. The SDK keeps them and renews them before they expire. */
  async #checkCredentials(): Promise<void> {
    if (this.#deps.settings.isAnonymous) return;
    await this.#s3.client.config.credentials().catch((error: unknown) => {
      throw explainCredentialsFailure(error, this.#deps);
    });
  }

  #fail(error: unknown, file?: RemoteFile): never {
    const { uri, bucket, settings } = this.#deps;
    throw explainS3Failure(error, { uri, bucket, key: file?.key, endpoint: settings.endpoint });
  }
}

function readItem({ Key: key, Size: size, ETag: etag }: _Object, prefix: string): RemoteFile | undefined {
  // Folders made by hand, and markers of folders.
  if (key === undefined || key.endsWith('/') || size === undefined || size === 0) return undefined;
  const path = pathBelow(prefix, key);
  if (path === undefined) return undefined;
  return { path, key, size, ...(etag === undefined ? {} : { etag }), ...(key === prefix ? { isExact: true } : {}) };
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
