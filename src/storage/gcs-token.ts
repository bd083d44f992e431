import { createSign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';
import type { Environment } from './storage.ts';

export interface GoogleToken {
  /** Undefined: requests go out without one, which is enough for public buckets. */
  readonly value: string | undefined;
  /** By Date.now(). */
  readonly until: number;
}

const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_only';
const MARGIN_MS = 60_000;
const METADATA_TIMEOUT_MS = 1000;

/** From a service account's key file, else from the metadata server of the node or of workload identity, else none. */
export async function googleToken(env: Environment, uri: string, signal: AbortSignal): Promise<GoogleToken> {
  const path = env['GOOGLE_APPLICATION_CREDENTIALS'];
  if (path !== undefined && path !== '') return fromKeyFile(path, uri, signal);
  if (env['STORAGE_EMULATOR_HOST'] !== undefined && env['STORAGE_EMULATOR_HOST'] !== '') return { value: undefined, until: Infinity };
  return fromMetadata(env, signal);
}

async function fromKeyFile(path: string, uri: string, signal: AbortSignal): Promise<GoogleToken> {
  const refuse = (problem: string, cause?: unknown): Error =>
    cannotDownload('unauthenticated', uri, `GCS authentication failed, GOOGLE_APPLICATION_CREDENTIALS ${JSON.stringify(path)} ${problem}`, { cause });
  let key: Readonly<Record<string, unknown>>;
  try {
    key = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw refuse('cannot be read, mount the key file there', error);
  }
  const { type, client_email: email, private_key: pem, token_uri: tokenUri } = key;
  if (type !== 'service_account' || typeof email !== 'string' || typeof pem !== 'string' || typeof tokenUri !== 'string') {
    throw refuse('is no key of a service account, give one or use workload identity');
  }
  let assertion: string;
  try {
    assertion = signAssertion(email, pem, tokenUri);
  } catch (error) {
    throw refuse('holds a private key that cannot be read', error);
  }
  const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
  const answer = await fetch(tokenUri, { method: 'POST', body, signal }).catch((error: unknown) => {
    throw signal.aborted
      ? (error as Error)
      : (asError(networkFailure(error, tokenUri)) ?? new TransientFailure(`${tokenUri} failed`, { cause: error }));
  });
  if (answer.status >= 500 || answer.status === 429) throw new TransientFailure(`${tokenUri} answered ${answer.status}`);
  if (!answer.ok) throw refuse(`was refused by ${tokenUri} (${answer.status}), renew the key`);
  return readToken(await answer.json());
}

function asError(fault: TransientFailure | string | undefined): TransientFailure | undefined {
  return typeof fault === 'string' ? new TransientFailure(fault) : fault;
}

function signAssertion(email: string, pem: string, audience: string): string {
  const now = Math.floor(Date.now() / 1000);
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const unsigned = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ iss: email, scope: SCOPE, aud: audience, iat: now, exp: now + 3600 })}`;
  return `${unsigned}.${createSign('RSA-SHA256').update(unsigned).sign(pem, 'base64url')}`;
}

async function fromMetadata(env: Environment, signal: AbortSignal): Promise<GoogleToken> {
  const host = env['GCE_METADATA_HOST'] ?? 'metadata.google.internal';
  try {
    const answer = await fetch(`http://${host}/computeMetadata/v1/instance/service-accounts/default/token`, {
      headers: { 'metadata-flavor': 'Google' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(METADATA_TIMEOUT_MS)]),
    });
    if (answer.ok) return readToken(await answer.json());
  } catch {
    // Not on Google's machines.
  }
  return { value: undefined, until: Infinity };
}

function readToken(answer: unknown): GoogleToken {
  const { access_token: value, expires_in: seconds } = answer as { readonly access_token?: unknown; readonly expires_in?: unknown };
  const lifetime = typeof seconds === 'number' ? seconds * 1000 : MARGIN_MS;
  return { value: typeof value === 'string' ? value : undefined, until: Date.now() + Math.max(0, lifetime - MARGIN_MS) };
}
