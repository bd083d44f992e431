import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { isServingError } from '../core/errors.ts';
import type { CacheOptions, DownloadProgress, DownloadReport } from '../storage/index.ts';
import { renderProgress } from './download-progress.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, oneLine, type Host } from './host.ts';
import { watchStopSignals } from './stop-signals.ts';
import { writeTerminationLog } from './termination-log.ts';

const FLAGS = ['expect_sha256', 'public_key', 'signature', 'fsync', 'model_cache', 'model_cache_bytes'] as const;
type Flag = (typeof FLAGS)[number];

interface Wanted {
  readonly pairs: readonly (readonly [uri: string, destination: string])[];
  readonly flags: Readonly<Partial<Record<Flag, string>>>;
  readonly cache: CacheOptions | undefined;
}

/** `download SRC DEST [SRC DEST …]`: what KServe's storage initializer does, with its arguments and variables. */
export async function runDownload(args: readonly string[], host: Host): Promise<number> {
  const wanted = await readArguments(args);
  if ('problems' in wanted) return refuse(wanted.problems, host);
  const stop = watchStopSignals(host, { reason: new Error('told to stop') });
  let uri = '';
  try {
    for (const [source, destination] of wanted.pairs) {
      uri = source;
      const report = await downloadOne(source, destination, wanted, host, stop.signal);
      host.stdout.write(`${JSON.stringify(describeReport(report))}\n`);
    }
    return EXIT_OK;
  } catch (error) {
    return await fail(error, uri, stop.signal, host);
  } finally {
    stop.release();
  }
}

function refuse(problems: readonly string[], host: Host): number {
  const text = problems.map((problem) => `${problem}\n`).join('');
  host.stderr.write(text);
  writeTerminationLog(text, host.terminationLogPath);
  return EXIT_USAGE;
}

/** What nobody foresaw keeps its stack on stderr, and has one line for the pod's status all the same. */
async function fail(error: unknown, uri: string, signal: AbortSignal, host: Host): Promise<number> {
  const message = error instanceof Error ? error.message : String(error);
  const { showUri } = await import('../storage/index.ts');
  const isForeseen = isServingError(error) || signal.aborted;
  if (!isForeseen && error instanceof Error && error.stack !== undefined) host.stderr.write(`${error.stack}\n`);
  const line = oneLine(isServingError(error) ? message : `Cannot download ${showUri(uri)}: ${message}`);
  host.stderr.write(`${line}\n`);
  writeTerminationLog(`${line}\n`, host.terminationLogPath);
  return EXIT_FAILED;
}

async function readArguments(args: readonly string[]): Promise<Wanted | { readonly problems: readonly string[] }> {
  const options = Object.fromEntries(FLAGS.flatMap((name) => [name, name.replaceAll('_', '-')]).map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true, options });
  const problems: string[] = [];
  const positionals: string[] = [];
  const flags: Partial<Record<Flag, string>> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = FLAGS.find((name) => name === token.name.replaceAll('-', '_'));
    if (flag === undefined) {
      const { didYouMean } = await import('../options/index.ts');
      problems.push(`unknown flag ${token.rawName}${didYouMean(token.name, [...FLAGS], (name) => `--${name}`)}`);
    } else if (token.value === undefined || token.value === '') problems.push(`--${flag}: expected a value`);
    else flags[flag] = token.value;
  }
  if (flags.fsync !== undefined && !['true', 'false'].includes(flags.fsync))
    problems.push(`--fsync: expected true or false, got ${JSON.stringify(flags.fsync)}`);
  if (flags.signature !== undefined && flags.public_key === undefined) problems.push('--signature: give the --public_key of its signer, too');
  if (positionals.length === 0 || positionals.length % 2 !== 0) {
    problems.push(`expected pairs of SRC and DEST, got ${positionals.length} arguments: write kserve-node download SRC DEST [SRC DEST …]`);
  }
  const cache = await readCache(flags, problems);
  if (problems.length > 0) return { problems };
  const pairs = positionals.flatMap((uri, index) => (index % 2 === 0 ? [[uri, positionals[index + 1] ?? ''] as const] : []));
  return { pairs, flags, cache };
}

async function readCache(flags: Wanted['flags'], problems: string[]): Promise<CacheOptions | undefined> {
  const { model_cache: dir, model_cache_bytes: written } = flags;
  if (written === undefined) return dir === undefined ? undefined : { dir, maxBytes: 0, keepsUnused: true };
  const { bytes } = await import('../options/index.ts');
  const reading = bytes(0, Number.MAX_SAFE_INTEGER).read(written);
  if (!reading.ok) problems.push(`--model_cache_bytes: ${reading.expected}, got ${JSON.stringify(written)}`);
  if (dir === undefined) problems.push('--model_cache_bytes: give the --model_cache it bounds, too');
  return dir === undefined || !reading.ok ? undefined : { dir, maxBytes: reading.value, keepsUnused: true };
}

const PROGRESS_MS = 1000;
const REDRAW_MS = 100;

async function downloadOne(uri: string, destination: string, wanted: Wanted, host: Host, signal: AbortSignal): Promise<DownloadReport> {
  const { flags, cache } = wanted;
  const { download, downloadThrough } = await import('../storage/index.ts');
  const publicKey = flags.public_key === undefined ? undefined : await readKey(flags.public_key);
  const isTerminal = host.stderr.isTTY === true;
  const startedAt = performance.now();
  let show: NodeJS.Timeout | undefined;
  const onStart = (progress: Readonly<DownloadProgress>): void => {
    show = setInterval(
      () => {
        host.stderr.write(renderProgress(uri, progress, (performance.now() - startedAt) / 1000, isTerminal));
      },
      isTerminal ? REDRAW_MS : PROGRESS_MS,
    );
  };
  try {
    const ctx = {
      env: host.env,
      signal,
      expectSha256: flags.expect_sha256,
      publicKey,
      signatureFile: flags.signature,
      isDurable: flags.fsync !== 'false',
      onStart,
    };
    return await (cache === undefined ? download(uri, destination, ctx) : downloadThrough(uri, destination, cache, ctx));
  } finally {
    clearInterval(show);
    if (isTerminal && show !== undefined) host.stderr.write('\r\u001b[K');
  }
}

async function readKey(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`cannot read --public_key ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** For logs: what came, how fast, and what nobody vouches for. */
function describeReport({ uri, destination, bytes, files, retries, seconds, unverified, unpacked, isCached }: DownloadReport): object {
  return {
    message: 'Downloaded',
    uri,
    destination,
    bytes,
    files,
    seconds: Number(seconds.toFixed(3)),
    mb_per_second: Number((bytes / 1e6 / Math.max(seconds, 1e-3)).toFixed(1)),
    retries,
    unverified_files: unverified.length,
    ...(unverified.length === 0 ? {} : { unverified: unverified.slice(0, MAX_NAMED) }),
    ...(unpacked === undefined ? {} : { unpacked }),
    ...(isCached === true ? { cached: true } : {}),
  };
}

const MAX_NAMED = 20;
