import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { cannotDownload, networkFailure, TransientFailure } from './failure.ts';
import type { Environment } from './storage.ts';

/** Headers that a request needs beside `conditions`, which may be signed with it. */
export type Authorize = (url: URL, conditions: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Record<string, string>>;

const VERSION = '2021-12-02';
const MARGIN_MS = 60_000;

/** By a key of the account, a client's secret, workload identity, or nothing, for public containers and signatures in the URI. */
export function azureAuthorizer(env: Environment, account: string, uri: string): Authorize {
  const key = env['AZURE_STORAGE_ACCESS_KEY'] ?? '';
  if (key !== '') return (url, conditions) => Promise.resolve(signRequest(url, conditions, account, key));
  const tenant = env['AZ_TENANT_ID'] ?? env['AZURE_TENANT_ID'] ?? '';
  const client = env['AZ_CLIENT_ID'] ?? env['AZURE_CLIENT_ID'] ?? '';
  const secret = env['AZ_CLIENT_SECRET'] ?? env['AZURE_CLIENT_SECRET'] ?? '';
  const tokenFile = env['AZURE_FEDERATED_TOKEN_FILE'] ?? '';
  if (tenant === '' || client === '' || (secret === '' && tokenFile === '')) return () => Promise.resolve({ 'x-ms-version': VERSION });
  const authority = (env['AZURE_AUTHORITY_HOST'] ?? '').replace(/\/+$/, '') || 'https://login.microsoftonline.com';
  let token = { value: '', until: 0 };
  let asking: Promise<void> | undefined;
  const ask = async (signal: AbortSignal): Promise<void> => {
    const proof =
      secret !== ''
        ? { client_secret: secret }
        : {
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: (await readFile(tokenFile, 'utf8')).trim(),
          };
    const form = { grant_type: 'client_credentials', client_id: client, scope: 'https://storage.azure.com/.default', ...proof };
    token = await askToken(`${authority}/${tenant}/oauth2/v2.0/token`, form, uri, signal);
  };
  return async (_url, _conditions, signal) => {
    if (Date.now() >= token.until) {
      asking ??= ask(signal).finally(() => {
        asking = undefined;
      });
      await asking;
    }
    return { 'x-ms-version': VERSION, authorization: `Bearer ${token.value}` };
  };
}

async function askToken(url: string, form: Record<string, string>, uri: string, signal: AbortSignal): Promise<{ value: string; until: number }> {
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form), signal }).catch((error: unknown) => {
    const fault = signal.aborted ? undefined : networkFailure(error, new URL(url).origin);
    throw fault instanceof TransientFailure ? fault : error;
  });
  if (answer.status >= 500 || answer.status === 429) throw new TransientFailure(`${new URL(url).host} answered ${answer.status}`);
  const { access_token: value, expires_in: seconds } = (await answer.json()) as { readonly access_token?: unknown; readonly expires_in?: unknown };
  if (typeof value !== 'string') {
    throw cannotDownload(
      'unauthenticated',
      uri,
      `Azure authentication failed (${answer.status}), verify AZ_TENANT_ID, AZ_CLIENT_ID and AZ_CLIENT_SECRET`,
    );
  }
  return { value, until: Date.now() + Math.max(0, (typeof seconds === 'number' ? seconds * 1000 : 0) - MARGIN_MS) };
}

/** The Shared Key scheme for GET: eleven standard headers, of which only the range and If-Match are there, then Azure's own, then the resource. */
function signRequest(url: URL, conditions: Readonly<Record<string, string>>, account: string, key: string): Record<string, string> {
  const own: Record<string, string> = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': VERSION };
  // Encoding, language, length, MD5, type, date, If-Modified-Since, If-Match, If-None-Match, If-Unmodified-Since, range.
  const standard = ['', '', '', '', '', '', '', conditions['if-match'] ?? '', '', '', conditions['range'] ?? ''];
  const headers = Object.entries(own).map(([name, value]) => `${name}:${value}`);
  const query = [...url.searchParams].map(([name, value]) => `${name.toLowerCase()}:${value}`).sort();
  const text = ['GET', ...standard, ...headers, [`/${account}${url.pathname}`, ...query].join('\n')];
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(text.join('\n')).digest('base64');
  return { ...own, authorization: `SharedKey ${account}:${signature}` };
}
