import { createHash, createHmac } from 'node:crypto';
import type { HttpMethod } from './http-head.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SigningContext {
  readonly region: string;
  readonly credentials: S3Credentials;
  readonly now: Date;
}

const EMPTY_BODY_SHA256 = createHash('sha256').digest('hex');
let lastKey: { readonly of: string; readonly key: Buffer } | undefined;

/**
 * `amazonHeaders`, all of whose names begin with `x-amz-`, and those that sign a request without a body (Signature Version 4). The query of `url` is
 * in the order of its names, and escaped as `encodeName` does. The SDK can sign as well, at several milliseconds of work for each object.
 */
export function signRequest(
  method: HttpMethod,
  url: URL,
  amazonHeaders: Readonly<Record<string, string>>,
  { region, credentials, now }: SigningContext,
): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const time = now.toISOString().replaceAll(/[:-]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const scope = `${day}/${region}/s3/aws4_request`;
  const signed: Record<string, string> = { ...amazonHeaders, host: url.host, 'x-amz-content-sha256': EMPTY_BODY_SHA256, 'x-amz-date': time };
  if (sessionToken !== undefined) signed['x-amz-security-token'] = sessionToken;
  const names = Object.keys(signed).sort();
  const canonical = [
    method,
    url.pathname,
    url.search.slice(1),
    ...names.map((name) => `${name}:${signed[name] ?? ''}`),
    '',
    names.join(';'),
    EMPTY_BODY_SHA256,
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const signature = createHmac('sha256', signingKey(secretAccessKey, day, region))
    .update(text)
    .digest('hex');
  return {
    ...signed,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

function signingKey(secret: string, day: string, region: string): Buffer {
  const of = `${secret} ${day} ${region}`;
  if (lastKey?.of === of) return lastKey.key;
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secret}`, day), region));
  lastKey = { of, key };
  return key;
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** As S3 wants keys in paths: all but unreserved characters and `/` are escaped. */
export function encodeKey(key: string): string {
  return encodeName(key).replaceAll('%2F', '/');
}

/** As S3 wants queries: all but unreserved characters are escaped. */
export function encodeName(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
