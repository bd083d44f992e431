import type { ModelMetadata } from '../core/metadata.ts';
import type { RunningServer } from '../server.ts';
import { sampleCurl, sampleInputs } from './sample-request.ts';

const TIMEOUT_MS = 5000;

/** GETs JSON; rejects on anything else. */
export type FetchJson = (url: string) => Promise<unknown>;

/** The URLs of a server and one request to paste, made from what the server itself says about its first model. */
export async function renderExample({ httpUrl, grpcUrl }: RunningServer, fetchJson: FetchJson = fetchJsonOverHttp): Promise<string> {
  const { models } = (await fetchJson(`${httpUrl}/v2/models`)) as { readonly models: readonly string[] };
  const [name] = models;
  const urls = `\nREST  ${httpUrl}\n${grpcUrl === undefined ? '' : `gRPC  ${grpcUrl}\n`}`;
  if (name === undefined) return urls;
  const { inputs } = (await fetchJson(`${httpUrl}/v2/models/${encodeURIComponent(name)}`)) as Pick<ModelMetadata, 'inputs'>;
  return `${urls}\nTry it:\n${sampleCurl(httpUrl, name, sampleInputs(inputs))}\n\n`;
}

async function fetchJsonOverHttp(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { connection: 'close' } });
  if (!response.ok) throw new Error(`Cannot read ${url}: expected status 200, got ${response.status}`);
  return response.json();
}
