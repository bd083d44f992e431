import { checksumFromBase64, md5OfEtag } from './checksum.ts';
import { cannotDownload } from './failure.ts';
import { headerOf, HttpClient, readSome, type HttpAnswer } from './http-client.ts';
import { pathBelow } from './remote-path.ts';
import { connectS3, type S3Connection } from './s3-connection.ts';
import { explainS3Failure } from './s3-failure.ts';
import { readS3Settings, type S3Settings } from './s3-settings.ts';
import { encodeKey, signGet } from './s3-signature.ts';
import type { ByteRange, Checksum, ListWatch, OpenedSource, RemoteBytes, RemoteFile, RetryPolicy, SourceContext, StorageSource } from './storage.ts';

/** `s3://BUCKET/PREFIX` with the variables of KServe's storage initializer. */
export async function openS3(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const { bucket, prefix } = parseUri(uri);
  const settings = await readS3Settings(ctx.env, uri);
  const { connectTimeoutMs, verifiesTls, ca } = settings;
  const http = new HttpClient({ uri, maxConnections: ctx.maxConnections, connectTimeoutMs, verifiesTls, ca });
  const s3 = await connectS3(settings, ctx.maxConnections);
  return { kind: 'remote', source: new S3Source({ uri, bucket, prefix, settings, s3, http }) };
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
  readonly s3: S3Connection;
  readonly http: HttpClient;
}

class S3Source implements StorageSource {
  readonly #deps: S3Deps;
  readonly policy: Partial<RetryPolicy>;

  constructor(deps: S3Deps) {
    this.#deps = deps;
    const { maxAttempts, readTimeoutMs } = deps.settings;
    this.policy = {
      ...(maxAttempts === undefined ? {} : { maxAttempts: Math.ceil(maxAttempts) }),
      ...(readTimeoutMs === undefined ? {} : { stallTimeoutMs: readTimeoutMs }),
    };
  }

  /** Known once it was listed. */
  get identity(): string {
    return `${this.#deps.s3.address().base} ${this.#deps.prefix}`;
  }

  async list(watch: ListWatch): Promise<readonly RemoteFile[]> {
    const { bucket, prefix, uri, s3 } = this.#deps;
    const files: RemoteFile[] = [];
    let token: string | undefined;
    do {
      const command = new s3.sdk.ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page = await s3.client.send(command, { abortSignal: watch.signal }).catch((error: unknown) => this.#fail(error));
      watch.alive();
      for (const { Key: key, Size: size, ETag: etag } of page.Contents ?? []) {
        // Folders made by hand, and markers of folders.
        if (key === undefined || key.endsWith('/') || size === 0) continue;
        const path = pathBelow(prefix, key);
        if (path === undefined) continue;
        const file = { path, key, size, ...(etag === undefined ? {} : { etag }) };
        if (key === prefix) return [{ ...file, isExact: true }];
        files.push(file);
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

  async describe(file: RemoteFile, signal: AbortSignal): Promise<RemoteFile> {
    const { bucket, s3 } = this.#deps;
    const command = new s3.sdk.HeadObjectCommand({
      Bucket: bucket,
      Key: file.key,
      ChecksumMode: 'ENABLED',
      ...(file.etag === undefined ? {} : { IfMatch: file.etag }),
    });
    const head = await s3.client.send(command, { abortSignal: signal }).catch((error: unknown) => this.#fail(error, file));
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

  async read(file: RemoteFile, range: ByteRange | undefined, signal: AbortSignal): Promise<RemoteBytes> {
    const { http, s3 } = this.#deps;
    const { base, region } = s3.address();
    const url = new URL(`${base}/${encodeKey(file.key)}`);
    const credentials = await s3.credentials().catch((error: unknown) => this.#fail(error, file));
    const asked = { 'x-amz-checksum-mode': 'ENABLED' };
    const headers: Record<string, string> = {
      ...(credentials === undefined ? asked : signGet(url, asked, { region, credentials, now: new Date() })),
      ...(range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` }),
      ...(file.etag === undefined ? {} : { 'if-match': file.etag }),
    };
    const answer = await http.get(url, { headers, signal, private: ['authorization', 'x-amz-security-token'] });
    if (answer.status !== (range === undefined ? 200 : 206)) this.#fail(await failureOf(answer), file);
    const checksum = range === undefined ? wholeChecksum((name) => headerOf(answer, name)) : undefined;
    return { body: answer.body, ...(checksum === undefined ? {} : { checksum }) };
  }

  dispose(): void {
    this.#deps.s3.client.destroy();
    this.#deps.http.dispose();
  }

  #fail(error: unknown, file?: RemoteFile): never {
    const { uri, bucket, settings } = this.#deps;
    throw explainS3Failure(error, { uri, bucket, key: file?.key, endpoint: settings.endpoint });
  }
}

/** As the SDK throws it: named by the code in the answer's XML. */
async function failureOf(answer: HttpAnswer): Promise<Error> {
  const text = await readSome(answer.body, 16_384);
  const error = new Error(/<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? '');
  error.name = /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? `HTTP ${answer.status}`;
  return Object.assign(error, { $metadata: { httpStatusCode: answer.status }, $response: { headers: answer.headers } });
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
