import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';

interface FailedCall {
  readonly uri: string;
  readonly bucket: string;
  readonly key: string | undefined;
  readonly endpoint: string | undefined;
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

/** What a failed call of the SDK means: one line with the status and the fix, or a failure that may pass. */
export function explainS3Failure(error: unknown, { uri, bucket, key, endpoint }: FailedCall): Error {
  if (!(error instanceof Error)) return new TransientFailure('S3 failed without an error');
  if (error instanceof TransientFailure || error.name === 'AbortError') return error;
  const status = statusOf(error);
  const where = endpoint ?? 'the S3 endpoint of AWS';
  const said = status === undefined ? error.name : `${status} ${error.name}`;
  if (NO_CREDENTIALS.has(error.name) || /could not load credentials/i.test(error.message)) {
    return cannotDownload(
      'unauthenticated',
      uri,
      'S3 authentication failed, no credentials found, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or awsAnonymousCredential=true',
      { cause: error },
    );
  }
  if (status === undefined) {
    const fault = networkFailure(error, where);
    if (fault instanceof TransientFailure) return fault;
    if (fault !== undefined) return cannotDownload('upstream_failed', uri, fault, { cause: error });
  }
  if (PASSING.has(error.name) || status === undefined || status === 429 || status >= 500) {
    const text = error.name === 'TimeoutError' ? `failed to connect to ${where}: no answer in time` : `S3 answered ${said}`;
    return new TransientFailure(text, { retryAfterMs: retryAfterOf(error), cause: error });
  }
  const fail = (reason: Parameters<typeof cannotDownload>[0], problem: string): Error => cannotDownload(reason, uri, problem, { cause: error });
  if (BAD_CREDENTIALS.has(error.name))
    return fail(
      'unauthenticated',
      `S3 authentication failed, invalid AWS credentials (${said}), verify AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and that they have not expired`,
    );
  if (error.name === 'NoSuchBucket')
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
    return fail('invalid_request', `S3 refused the request (${said}${shorten(error.message)}), check AWS_DEFAULT_REGION and AWS_ENDPOINT_URL`);
  }
  return fail('upstream_failed', `S3 error (${said}${shorten(error.message)}), check AWS_ENDPOINT_URL`);
}

function statusOf(error: Error): number | undefined {
  const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: unknown } }).$metadata ?? {};
  return typeof httpStatusCode === 'number' ? httpStatusCode : undefined;
}

function retryAfterOf(error: Error): number | undefined {
  const { headers } = (error as { $response?: { headers?: Record<string, string> } }).$response ?? {};
  const seconds = Number(headers?.['retry-after']);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
}

/** A store's own words, in one short line. */
function shorten(message: string): string {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return line === '' || line === 'UnknownError' ? '' : `: ${line.slice(0, 160)}`;
}
