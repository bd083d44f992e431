import { symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SILENT_LOGGER, type Logger } from '../core/context.ts';
import { finishContent, verifyTrust, type ContentChecks, type ContentReport } from './content.ts';
import { NO_CONTENT, versionOfListing, versionOfPath, type ContentVersion } from './content-version.ts';
import { checkDisk, explainDiskFailure } from './disk.ts';
import { cannotDownload, nameUri, showUri } from './failure.ts';
import { fetchFiles } from './fetch-files.ts';
import { parsePin, parseSha256 } from './integrity.ts';
import { readPatterns } from './patterns.ts';
import { checkPaths } from './remote-path.ts';
import { retrying } from './retry.ts';
import { readPositive } from './s3-settings.ts';
import { openSource } from './schemes.ts';
import { openStaging, type Staging } from './staging.ts';
import type { DownloadProgress, DownloadReport, Environment, RemoteFile, RetryPolicy, StorageSource } from './storage.ts';

export interface DownloadContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly log?: Logger;
  /** Digest that the one file (an archive, before it is unpacked) or the SHA256SUMS must have; the URI's `?sha256=` is the same. */
  readonly expectSha256?: string | undefined;
  /** PEM public key: the one file, or the SHA256SUMS of several, must be signed by its owner. */
  readonly publicKey?: string | undefined;
  /** The signature; `<file>.sig` of the download itself without it. */
  readonly signatureFile?: string | undefined;
  /** How long nothing may arrive from a store before a read is tried again; 30 s, or what the variables of the store say. */
  readonly stallTimeoutMs?: number;
  /** False gives up durability over a crash of the machine, never over one of the process. */
  readonly isDurable?: boolean;
  /** Called once, when sizes are known; the object goes on counting. */
  onStart?(progress: Readonly<DownloadProgress>): void;
}

const DEFAULT_POLICY = { maxAttempts: 5, stallTimeoutMs: 30_000 };
/** KServe's initializer reads this many files at once, each in ranges. */
const DEFAULT_FILE_CONCURRENCY = 4;
const READS_PER_FILE = 4;
const MAX_PARALLEL = 256;

/** What a URI names at this moment: listed, with the credentials of `env`, and not fetched. `close` must be called. */
export interface OpenDownload {
  /** As people may see it. */
  readonly uri: string;
  /** Changes when the content in the store does, and with the checks that are asked for. */
  readonly version: ContentVersion;
  /** To be fetched, as far as the store tells. */
  readonly totalBytes: number;
  /** Where files that need no fetching lie: a directory or a file. They are linked to, or unpacked. */
  readonly localPath?: string;
  /** Brings everything, or nothing. */
  to(destination: string): Promise<DownloadReport>;
  /** Whether files that an earlier download brought, and nothing unpacked, pass the pin and the signature that are asked for; throws what is wrong. */
  verify(dir: string): Promise<void>;
  close(): void;
}

/** Brings what a URI names into a directory: all of it, or nothing. */
export async function download(uri: string, destination: string, ctx: DownloadContext): Promise<DownloadReport> {
  const opened = await openDownload(uri, ctx);
  try {
    return await opened.to(destination);
  } finally {
    opened.close();
  }
}

/** Asks the store what there is. Rejects as `download` does, before anything is written. */
export async function openDownload(uri: string, ctx: DownloadContext): Promise<OpenDownload> {
  const pinned = parsePin(uri);
  const sha256 = pinned.sha256 ?? (ctx.expectSha256 === undefined ? undefined : parseSha256(ctx.expectSha256, '--expect_sha256'));
  const concurrency = readPositive(ctx.env, 'S3_MAX_FILE_CONCURRENCY', uri) ?? DEFAULT_FILE_CONCURRENCY;
  const parallel = Math.min(MAX_PARALLEL, Math.max(1, Math.ceil(concurrency)) * READS_PER_FILE);
  const request: Request = { ctx, uri: pinned.uri, sha256, parallel };
  const opened = await openSource(pinned.uri, { env: ctx.env, log: ctx.log ?? SILENT_LOGGER, maxConnections: parallel });
  if (opened.kind === 'remote') return await openRemote(opened.source, request);
  if (opened.kind === 'nothing') return describeOpened(request, { version: NO_CONTENT, work: () => Promise.resolve(NOTHING_DONE) });
  const { source } = opened;
  const version = await versionOfPath(source.path);
  return describeOpened(request, { version, localPath: source.path, work: async (job) => link(await source.entries(), job) });
}

interface Request {
  readonly ctx: DownloadContext;
  readonly uri: string;
  readonly sha256: string | undefined;
  readonly parallel: number;
}

interface Job extends Request {
  readonly destination: string;
}

type Done = Omit<DownloadReport, 'uri' | 'destination' | 'seconds'>;

const NOTHING_DONE: Done = { bytes: 0, files: 0, retries: 0, unverified: [] };

interface Opened {
  readonly version: ContentVersion;
  readonly totalBytes?: number;
  readonly localPath?: string;
  readonly work: (job: Job) => Promise<Done>;
  readonly close?: () => void;
}

function describeOpened(request: Request, { version, totalBytes = 0, localPath, work, close }: Opened): OpenDownload {
  const { uri } = request;
  return {
    uri: showUri(uri),
    version,
    totalBytes,
    ...(localPath === undefined ? {} : { localPath }),
    to: async (given) => {
      const startedAt = performance.now();
      const destination = resolve(given);
      try {
        const done = await work({ ...request, destination });
        return { uri: showUri(uri), destination, ...done, seconds: (performance.now() - startedAt) / 1000 };
      } catch (error) {
        throw nameUri(explainDiskFailure(error, destination, uri), uri);
      }
    },
    verify: (dir) => verifyTrust(dir, checksOf(request)),
    close: close ?? (() => undefined),
  };
}

/** From here on `source` belongs to what is returned. */
async function openRemote(source: StorageSource, request: Request): Promise<OpenDownload> {
  const { ctx, uri, sha256 } = request;
  const progress = { bytes: 0, totalBytes: 0, files: 0, totalFiles: 0, retries: 0 };
  const policy = {
    ...DEFAULT_POLICY,
    ...source.policy,
    ...(ctx.stallTimeoutMs === undefined ? {} : { stallTimeoutMs: ctx.stallTimeoutMs }),
  };
  const onRetry = (): void => {
    progress.retries++;
  };
  try {
    const files = choose(await retrying({ uri, policy, signal: ctx.signal, onRetry }, (watch) => source.list(watch)), request);
    checkPaths(files, uri);
    progress.totalBytes = files.reduce((sum, { size = 0 }) => sum + size, 0);
    progress.totalFiles = files.length;
    const { publicKey, signatureFile } = ctx;
    return describeOpened(request, {
      version: await versionOfListing(source.identity ?? uri, files, { sha256, publicKey, signatureFile }),
      totalBytes: progress.totalBytes,
      work: (job) => fetch(files, { source, policy, progress }, job),
      close: () => {
        source.dispose();
      },
    });
  } catch (error) {
    source.dispose();
    throw error;
  }
}

async function link(entries: ReadonlyMap<string, string>, job: Job): Promise<Done> {
  return stage(job, async (staging) => {
    for (const [name, target] of entries) if (target !== join(job.destination, name)) await symlink(target, join(staging.dir, name));
    const content = await finish(staging, job);
    return describe({ bytes: 0, files: entries.size, retries: 0, unverified: [...entries.keys()] }, content);
  });
}

interface Fetching {
  readonly source: StorageSource;
  readonly policy: RetryPolicy;
  readonly progress: { -readonly [K in keyof DownloadProgress]: DownloadProgress[K] };
}

async function fetch(files: readonly RemoteFile[], { source, policy, progress }: Fetching, job: Job): Promise<Done> {
  const { ctx, uri, parallel, destination } = job;
  const { signal, isDurable = true } = ctx;
  ctx.onStart?.(progress);
  return await stage(job, async (staging) => {
    await checkDisk(staging.dir, destination, progress.totalBytes, uri);
    const unverified = await fetchFiles(files, { source, uri, dir: staging.dir, signal, policy, parallel, isDurable, progress });
    const { bytes, retries } = progress;
    return describe({ bytes, files: files.length, retries, unverified }, await finish(staging, job));
  });
}

/** Runs `work` on a staging directory, which becomes the destination when it succeeds and is gone when it fails. */
async function stage(job: Job, work: (staging: Staging) => Promise<Done>): Promise<Done> {
  const { ctx, uri, destination } = job;
  const staging = await openStaging(destination, uri, { signal: ctx.signal, isDurable: ctx.isDurable ?? true });
  let done: Done;
  try {
    done = await work(staging);
    ctx.signal.throwIfAborted();
  } catch (error) {
    await staging.abandon();
    throw error;
  }
  await staging.commit();
  return done;
}

function finish(staging: Staging, job: Job): Promise<ContentReport> {
  return finishContent(staging, checksOf(job));
}

function checksOf({ ctx, uri, sha256 }: Request): ContentChecks {
  const { signal, publicKey, signatureFile, isDurable = true } = ctx;
  return { uri, signal, sha256, publicKey, signatureFile, isDurable };
}

function describe(done: Done, { vouched, unpacked }: ContentReport): Done {
  const unverified = done.unverified.filter((path) => !vouched.has(path));
  return { ...done, unverified, ...(unpacked === undefined ? {} : { unpacked }) };
}

/** In the order of their paths, so that what happens does not hang on the store. */
function choose(listed: readonly RemoteFile[], { ctx, uri }: Request): readonly RemoteFile[] {
  const isWanted = readPatterns(ctx.env, uri);
  const files = listed.filter(({ path, isExact }) => isExact === true || isWanted(path));
  if (files.length === 0) {
    throw cannotDownload(
      'model_not_found',
      uri,
      `none of ${listed.length} files passes STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS, check them`,
    );
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
