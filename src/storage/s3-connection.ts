import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { rootCertificates } from 'node:tls';
import type * as Sdk from './s3-sdk.ts';
import type { S3Settings } from './s3-settings.ts';

/** Where a bucket is, after what stores and settings say of hosts and paths; `base` has no `/` at its end. */
export interface S3Connection {
  readonly sdk: typeof Sdk;
  readonly client: Sdk.S3Client;
  readonly region: string;
  /** URL of an object; known once a listing has succeeded. */
  urlOf(key: string): URL;
  /** Headers of a GET with those that sign it, where anything is signed. */
  sign(url: URL, headers: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>>;
}

interface SentRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
}

/** The SDK's client: it knows hosts, signatures, and where credentials come from (profiles, web identity, container and instance roles). */
export async function connectS3(settings: S3Settings, region: string, maxConnections: number): Promise<S3Connection> {
  // It warns of the next version's Node, on stderr, where the line of a failure is looked for.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('./s3-sdk.ts');
  const client = new sdk.S3Client(clientConfig(settings, region, maxConnections));
  let base = '';
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName === 'ListObjectsV2Command') base = baseOf(args.request as SentRequest);
        return next(args);
      },
    { step: 'finalizeRequest', priority: 'low', name: 'observeAddress' },
  );
  return {
    sdk,
    client,
    region,
    urlOf: (key) => new URL(`${base}/${encodeKey(key)}`),
    sign: async (url, headers) => {
      if (settings.isAnonymous) return headers;
      const signer = await client.config.signer({ name: 'sigv4', signingName: 's3', signingRegion: region, properties: {} });
      const { protocol, hostname, port, pathname: path } = url;
      const request = {
        method: 'GET',
        protocol,
        hostname,
        path,
        headers: { ...headers, host: url.host },
        ...(port === '' ? {} : { port: Number(port) }),
      };
      return (await signer.sign(request, { signingRegion: region, signingService: 's3' })).headers;
    },
  };
}

function clientConfig(settings: S3Settings, region: string, maxSockets: number): S3ClientConfig {
  const { endpoint, credentials, ca, isAnonymous } = settings;
  const agent = { keepAlive: true, maxSockets };
  return {
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    // Requests without a signature: nobody is asked for credentials, and nothing is signed.
    ...(isAnonymous ? { credentials: { accessKeyId: '', secretAccessKey: '' }, signer: { sign: (request) => Promise.resolve(request) } } : {}),
    forcePathStyle: !settings.usesVirtualHosts,
    useAccelerateEndpoint: settings.isAccelerated,
    // Tries are counted by who reads.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      httpAgent: agent,
      httpsAgent: { ...agent, rejectUnauthorized: settings.verifiesTls, ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }) },
    },
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  };
}

const ignore = (): void => undefined;

/** Of a listing: its path is the bucket's, or `/` where the bucket is the host. */
function baseOf({ protocol, hostname, port, path }: SentRequest): string {
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path.replace(/\/+$/, '')}`;
}

/** As S3 wants keys in paths: all but unreserved characters and `/` are escaped. */
function encodeKey(key: string): string {
  const escaped = encodeURIComponent(key).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return escaped.replaceAll('%2F', '/');
}
