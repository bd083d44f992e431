import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';
import type { StoreRefusal } from './http-read.ts';

interface FailedCall {
  readonly uri: string;
  readonly bucket: string;
  readonly key: string | undefined;
}

const BAD_CREDENTIALS: ReadonlySet<string> = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'ExpiredToken',
  'ExpiredTokenException',
  'TokenRefreshRequired',
  'AuthorizationHeaderMalformed',
]);
const NO_CREDENTIALS: ReadonlySet<string> = new Set(['CredentialsProviderError', 'TokenProviderError', 'ProviderError']);
/** What the SDK calls answers without a code. */
const ANONYMOUS: ReadonlySet<string> = new Set(['Error', 'S3ServiceException', 'UnknownError', 'Unknown']);
const PASSING: ReadonlySet<string> = new Set([
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'OperationAborted',
  'TimeoutError',
]);

/** What a failed call of the SDK means. */
export function explainS3Failure(error: unknown, call: FailedCall & { readonly endpoint: string | undefined }): Error {
  if (!(error instanceof Error)) return new TransientFailure('S3 failed without an error');
  if (error instanceof TransientFailure || error.name === 'AbortError') return error;
  const status = statusOf(error);
  const where = call.endpoint ?? 'the S3 endpoint of AWS';
  if (status === undefined) {
    if (error.name === 'TimeoutError') return new TransientFailure(`failed to connect to ${where}: no answer in time`, { cause: error });
    const fault = networkFailure(error, where);
    if (typeof fault === 'string') return cannotDownload('upstream_failed', call.uri, fault, { cause: error });
    return fault ?? new TransientFailure(`S3 failed (${error.name}${shorten(error.message)})`, { cause: error });
  }
  if (status < 300)
    return cannotDownload('upstream_failed', call.uri, `S3 answered something that is no listing (${status}), check AWS_ENDPOINT_URL`, {
      cause: error,
    });
  const code = /^[A-Z]\w+$/.test(error.name) && !ANONYMOUS.has(error.name) ? error.name : '';
  return explainS3Refusal({ status, code, message: error.message, retryAfterMs: retryAfterOf(error) }, call);
}

/** Where a bucket is instead, when that is why the SDK's call failed. */
export function regionNamedBy(error: unknown): string | undefined {
  const { $response, Region } = error as { readonly $response?: { readonly headers?: Record<string, string> }; readonly Region?: unknown };
  const status = statusOf(error);
  if (status !== 301 && status !== 307 && status !== 400) return undefined;
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region;
  return typeof region === 'string' && /^[a-z0-9-]{2,40}$/.test(region) ? region : undefined;
}

/** One line with the status and the fix, or a failure that may pass. */
export function explainS3Refusal({ status, code, message, retryAfterMs }: StoreRefusal, { uri, bucket, key }: FailedCall): Error {
  const said = code === '' ? String(status) : `${status} ${code}`;
  if (PASSING.has(code) || status === 408 || status === 429 || status >= 500) return new TransientFailure(`S3 answered ${said}`, { retryAfterMs });
  const fail = (reason: Parameters<typeof cannotDownload>[0], problem: string): Error => cannotDownload(reason, uri, problem);
  if (BAD_CREDENTIALS.has(code))
    return fail(
      'unauthenticated',
      `S3 authentication failed, invalid AWS credentials (${said}), verify AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and that they have not expired`,
    );
  if (code === 'NoSuchBucket')
    return fail('model_not_found', `S3 bucket ${JSON.stringify(bucket)} does not exist (${said}), check its name and AWS_ENDPOINT_URL`);
  if (status === 412) return fail('conflict', `object ${JSON.stringify(key)} changed while it was downloaded (${said}), download again`);
  if (status === 404) return fail('model_not_found', `S3 resource ${JSON.stringify(key ?? bucket)} not found (${said}), check the path`);
  if (status === 401) return fail('unauthenticated', `S3 authentication failed (${said}), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`);
  if (status === 403)
    return fail(
      'permission_denied',
      `access denied to S3 resource ${JSON.stringify(key ?? bucket)} (${said}), verify permissions (s3:ListBucket, s3:GetObject) and credentials`,
    );
  if (status === 301 || status === 307 || status === 400) {
    return fail('invalid_request', `S3 refused the request (${said}${shorten(message)}), check AWS_DEFAULT_REGION and AWS_ENDPOINT_URL`);
  }
  return fail('upstream_failed', `S3 error (${said}${shorten(message)}), check AWS_ENDPOINT_URL`);
}

/** What it means that the SDK has no credentials to sign with: there are none, or where they come from did not answer. */
export function explainCredentialsFailure(error: unknown, { uri }: Pick<FailedCall, 'uri'>): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const fault = networkFailure(error, 'the source of AWS credentials');
  if (fault instanceof TransientFailure && !NO_CREDENTIALS.has(name)) return fault;
  const status = statusOf(error);
  if (status !== undefined && (status === 429 || status >= 500))
    return new TransientFailure(`the source of AWS credentials answered ${status} ${name}`);
  const found = NO_CREDENTIALS.has(name) || status === undefined ? 'no credentials found' : `credentials refused (${status} ${name})`;
  return cannotDownload(
    'unauthenticated',
    uri,
    `S3 authentication failed, ${found}${shorten(message)}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or awsAnonymousCredential=true`,
    { cause: error },
  );
}

function retryAfterOf(error: unknown): number | undefined {
  const { headers } = (error as { readonly $response?: { readonly headers?: Record<string, string> } }).$response ?? {};
  const seconds = Number(headers?.['retry-after']);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
}

function statusOf(error: unknown): number | undefined {
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: unknown } }).$metadata ?? {};
  return typeof httpStatusCode === 'number' ? httpStatusCode : undefined;
}

/** A store's own words, in one short line. */
function shorten(message: string): string {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return line === '' || line === 'UnknownError' ? '' : `: ${line.slice(0, 160)}`;
}
