import { cannotDownload } from './failure.ts';
import type { OpenedSource, OpenSource, SourceContext } from './storage.ts';

interface Scheme {
  /** As people write it. */
  readonly example: string;
  matches(uri: string): boolean;
  load(): Promise<OpenSource>;
}

const startsWith =
  (...prefixes: readonly string[]) =>
  (uri: string): boolean =>
    prefixes.some((prefix) => uri.startsWith(prefix));

const isAzureBlob = (uri: string): boolean => /^https:\/\/[^/]+\.blob\.(core|storage)\.[a-z.]+\//.test(uri);

/** One line a scheme, the first that matches wins. Imported on use: an S3 client takes longer to load than all the rest. */
const SCHEMES: readonly Scheme[] = [
  { example: 'file://', matches: startsWith('file://'), load: async () => (await import('./file.ts')).openFile },
  { example: 'pvc://', matches: startsWith('pvc://'), load: async () => (await import('./file.ts')).openClaim },
  { example: 's3://', matches: startsWith('s3://'), load: async () => (await import('./s3.ts')).openS3 },
  { example: 'gs://', matches: startsWith('gs://'), load: async () => (await import('./gcs.ts')).openGcs },
  { example: 'azure://', matches: startsWith('azure://'), load: async () => (await import('./azure.ts')).openAzure },
  { example: 'https://*.blob.core.windows.net/', matches: isAzureBlob, load: async () => (await import('./azure.ts')).openAzure },
  { example: 'hf://', matches: startsWith('hf://'), load: async () => (await import('./hf.ts')).openHuggingFace },
  { example: 'https://', matches: startsWith('https://', 'http://'), load: async () => (await import('./http.ts')).openHttp },
  { example: 'a path', matches: (uri) => !/^[a-z][a-z0-9+.-]*:\/\//i.test(uri), load: async () => (await import('./file.ts')).openPath },
];

export async function openSource(uri: string, ctx: SourceContext): Promise<OpenedSource> {
  const scheme = uri === '' ? undefined : SCHEMES.find((candidate) => candidate.matches(uri));
  if (scheme === undefined) {
    const known = SCHEMES.map(({ example }) => example).join(', ');
    throw cannotDownload(
      'invalid_request',
      uri,
      `expected a URI of a known scheme (${known}), got ${JSON.stringify(/^[^:]*:\/\//.exec(uri)?.[0] ?? uri)}`,
    );
  }
  const open = await scheme.load();
  return open(uri, ctx);
}
