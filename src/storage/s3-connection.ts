import type * as Sdk from '@aws-sdk/client-s3';
import { rootCertificates } from 'node:tls';
import type { S3Settings } from './s3-settings.ts';
import type { S3Credentials } from './s3-signature.ts';

/** The SDK knows hosts, regions and credentials; the bytes are read without it. */
export interface S3Connection {
  readonly sdk: typeof Sdk;
  readonly client: Sdk.S3Client;
  /** Where the bucket was found, after all redirects; known once a call has succeeded. `base` has no `/` at its end. */
  address(): { readonly base: string; readonly region: string };
  /** Fresh ones, undefined where nothing is signed. */
  credentials(): Promise<S3Credentials | undefined>;
}

interface SentRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
}

export async function connectS3(settings: S3Settings, maxConnections: number): Promise<S3Connection> {
  const sdk = await import('@aws-sdk/client-s3');
  const { endpoint, credentials, ca, region = 'us-east-1' } = settings;
  const agent = { keepAlive: true, maxSockets: maxConnections };
  const client = new sdk.S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined || settings.isAnonymous ? {} : { credentials }),
    // Requests without a signature: nobody is asked for credentials, and nothing is signed.
    ...(settings.isAnonymous
      ? { credentials: { accessKeyId: '', secretAccessKey: '' }, signer: { sign: (request) => Promise.resolve(request) } }
      : {}),
    forcePathStyle: !settings.usesVirtualHosts,
    useAccelerateEndpoint: settings.isAccelerated,
    followRegionRedirects: true,
    // Tries are counted by who reads.
    maxAttempts: 1,
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      httpAgent: agent,
      httpsAgent: { ...agent, rejectUnauthorized: settings.verifiesTls, ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }) },
    },
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  });
  let address: { readonly base: string; readonly region: string } | undefined;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as SentRequest;
      const result = await next(args);
      const isList = context.commandName === 'ListObjectsV2Command';
      if (isList) address = { base: baseOf(request), region: regionOf(request) ?? region };
      return result;
    },
    // Behind the signature.
    { step: 'finalizeRequest', priority: 'low', name: 'observeAnswers' },
  );
  return {
    sdk,
    client,
    address: () => address ?? { base: '', region },
    credentials: async () => (settings.isAnonymous ? undefined : client.config.credentials()),
  };
}

const ignore = (): void => undefined;

/** Of a listing: its path is the bucket's, or `/` where the bucket is the host. */
function baseOf({ protocol, hostname, port, path }: SentRequest): string {
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path.replace(/\/+$/, '')}`;
}

/** What the request was signed for. */
function regionOf({ headers }: SentRequest): string | undefined {
  return /Credential=[^,]*\/\d{8}\/([^/]+)\/s3\//.exec(headers['authorization'] ?? '')?.[1];
}
