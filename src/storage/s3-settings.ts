import { readFile } from 'node:fs/promises';
import { cannotDownload } from './failure.ts';
import type { Environment } from './storage.ts';

/** What KServe's variables say about S3, in the words of the SDK. */
export interface S3Settings {
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly isAnonymous: boolean;
  readonly usesVirtualHosts: boolean;
  readonly isAccelerated: boolean;
  readonly verifiesTls: boolean;
  readonly ca: string | undefined;
  /** From variables; undefined leaves it to the SDK's chain: profiles, web identity (IRSA), container and instance roles. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string } | undefined;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number | undefined;
  readonly maxAttempts: number | undefined;
}

const SECRET_KEYS: Readonly<Record<string, string>> = {
  endpoint_url: 'AWS_ENDPOINT_URL',
  access_key_id: 'AWS_ACCESS_KEY_ID',
  secret_access_key: 'AWS_SECRET_ACCESS_KEY',
  session_token: 'AWS_SESSION_TOKEN',
  region: 'AWS_DEFAULT_REGION',
  ca_bundle: 'AWS_CA_BUNDLE',
  verify_ssl: 'S3_VERIFY_SSL',
  anonymous: 'awsAnonymousCredential',
};

/** The environment with what an InferenceService's `storage` says on top: STORAGE_CONFIG is the secret's entry, STORAGE_OVERRIDE_CONFIG the service's own words. */
export function withStorageConfig(env: Environment, uri: string): Environment {
  const entry = { ...readJson('STORAGE_CONFIG', env, uri), ...readJson('STORAGE_OVERRIDE_CONFIG', env, uri) };
  if (entry['type'] !== 's3') return env;
  const merged: Record<string, string | undefined> = { ...env };
  for (const [key, variable] of Object.entries(SECRET_KEYS)) {
    const value = entry[key];
    if (typeof value === 'string' || typeof value === 'boolean') merged[variable] = String(value);
  }
  // A token of the environment belongs to the environment's key.
  if (typeof entry['access_key_id'] === 'string' && entry['session_token'] === undefined) merged['AWS_SESSION_TOKEN'] = undefined;
  return merged;
}

function readJson(variable: string, env: Environment, uri: string): Readonly<Record<string, unknown>> {
  const written = env[variable];
  if (written === undefined || written.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    value = undefined;
  }
  // What stands in it may be a secret and is not shown.
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw cannotDownload('invalid_request', uri, `expected a JSON object in ${variable}, got something else`);
  }
  return value as Record<string, unknown>;
}

export async function readS3Settings(given: Environment, uri: string): Promise<S3Settings> {
  const env = withStorageConfig(given, uri);
  const endpoint = readEndpoint(env, uri);
  const region = filled(env['AWS_DEFAULT_REGION']) ?? filled(env['AWS_REGION']);
  const verifiesTls = !['0', 'false'].includes((env['S3_VERIFY_SSL'] ?? '').toLowerCase());
  const id = filled(env['AWS_ACCESS_KEY_ID']);
  const secret = filled(env['AWS_SECRET_ACCESS_KEY']);
  const token = filled(env['AWS_SESSION_TOKEN']);
  const isGlobalEndpoint = endpoint === 'https://s3.amazonaws.com' && region !== undefined && region !== 'us-east-1';
  return {
    endpoint,
    region,
    isAnonymous: isTrue(env['awsAnonymousCredential']),
    // Path style at other endpoints, as boto3 does; Amazon's own take names of hosts.
    usesVirtualHosts: isTrue(env['S3_USER_VIRTUAL_BUCKET']) || isGlobalEndpoint || endpoint === undefined,
    isAccelerated: isTrue(env['S3_USE_ACCELERATE']),
    verifiesTls,
    ca: verifiesTls ? await readCaBundle(env, 'AWS_CA_BUNDLE', uri) : undefined,
    credentials:
      id === undefined || secret === undefined
        ? undefined
        : { accessKeyId: id, secretAccessKey: secret, ...(token === undefined ? {} : { sessionToken: token }) },
    connectTimeoutMs: (readPositive(env, 'S3_CONNECT_TIMEOUT', uri) ?? 15) * 1000,
    readTimeoutMs: inMilliseconds(readPositive(env, 'S3_READ_TIMEOUT', uri)),
    maxAttempts: readPositive(env, 'S3_MAX_ATTEMPTS', uri),
  };
}

/** PEM certificates: of the variable when it names a file, else of KServe's global bundle, else none. */
export async function readCaBundle(env: Environment, variable: string, uri: string): Promise<string | undefined> {
  const own = filled(env[variable]);
  const isMounted = filled(env['CA_BUNDLE_CONFIGMAP_NAME']) !== undefined;
  const path = own ?? (isMounted ? `${filled(env['CA_BUNDLE_VOLUME_MOUNT_POINT']) ?? '/etc/ssl/custom-certs'}/cabundle.crt` : undefined);
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw cannotDownload(
      'invalid_request',
      uri,
      `Failed to find ca bundle file(${path}), check ${own === undefined ? 'CA_BUNDLE_VOLUME_MOUNT_POINT' : variable}`,
      {
        cause: error,
      },
    );
  }
}

/** A whole or decimal number above 0 in a variable; undefined when it is not set. */
export function readPositive(env: Environment, variable: string, uri: string): number | undefined {
  const written = filled(env[variable]);
  if (written === undefined) return undefined;
  const value = Number(written);
  if (!(value > 0 && value < 1e6))
    throw cannotDownload('invalid_request', uri, `${variable}: expected a number above 0, got ${JSON.stringify(written)}`);
  return value;
}

function readEndpoint(env: Environment, uri: string): string | undefined {
  const written = filled(env['AWS_ENDPOINT_URL_S3']) ?? filled(env['AWS_ENDPOINT_URL']);
  if (written === undefined) return undefined;
  const hasScheme = /^https?:\/\//i.test(written);
  const endpoint = hasScheme ? written : `${env['S3_USE_HTTPS'] === '0' ? 'http' : 'https'}://${written}`;
  if (!URL.canParse(endpoint)) throw cannotDownload('invalid_request', uri, `AWS_ENDPOINT_URL: expected a URL, got ${JSON.stringify(written)}`);
  return endpoint.replace(/\/+$/, '');
}

function inMilliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function filled(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value.trim();
}

function isTrue(value: string | undefined): boolean {
  return value?.trim().toLowerCase() === 'true';
}
