import { symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SILENT_LOGGER, type Logger } from '../core/context.ts';
import { finishContent, type ContentReport } from './content.ts';
import { checkDisk, explainDiskFailure } from './disk.ts';
import { cannotDownload, showUri } from './failure.ts';
import { fetchFiles } from './fetch-files.ts';
import { parsePin, parseSha256 } from './integrity.ts';
import { readPatterns } from './patterns.ts';
import { checkPaths } from './remote-path.ts';
import { retrying } from './retry.ts';
import { readPositive } from './s3-settings.ts';
import { openSource } from './schemes.ts';
import { openStaging, type Staging } from './staging.ts';
import type { DownloadProgress, DownloadReport, Environment, RemoteFile, StorageSource } from './storage.ts';

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

/** Brings what a URI names into a directory: all of it, or nothing. */
export async function download(uri: string, destination: string, ctx: DownloadContext): Promise<DownloadReport> {
  const startedAt = performance.now();
  const pinned = parsePin(uri);
  const sha256 = pinned.sha256 ?? (ctx.expectSha256 === undefined ? undefined : parseSha256(ctx.expectSha256, '--expect_sha256'));
  const concurrency = readPositive(ctx.env, 'S3_MAX_FILE_CONCURRENCY', uri) ?? DEFAULT_FILE_CONCURRENCY;
  const parallel = Math.min(MAX_PARALLEL, Math.max(1, Math.ceil(concurrency)) * READS_PER_FILE);
  const job: Job = { ctx, uri: pinned.uri, destination: resolve(destination), sha256, parallel };
  try {
    const done = await run(job);
    return { uri: showUri(uri), destination: job.destination, ...done, seconds: (performance.now() - startedAt) / 1000 };
  } catch (error) {
    throw explainDiskFailure(error, job.destination, uri);
  }
}

interface Job {
  readonly ctx: DownloadContext;
  readonly uri: string;
  readonly destination: string;
  readonly sha256: string | undefined;
  readonly parallel: number;
}

type Done = Omit<DownloadReport, 'uri' | 'destination' | 'seconds'>;

async function run(job: Job): Promise<Done> {
  const { ctx, uri, parallel } = job;
  const opened = await openSource(uri, { env: ctx.env, log: ctx.log ?? SILENT_LOGGER, maxConnections: parallel });
  if (opened.kind === 'nothing') return { bytes: 0, files: 0, retries: 0, unverified: [] };
  return opened.kind === 'local' ? link(await opened.source.entries(), job) : fetch(opened.source, job);
}

async function link(entries: ReadonlyMap<string, string>, job: Job): Promise<Done> {
  return stage(job, async (staging) => {
    for (const [name, target] of entries) if (target !== join(job.destination, name)) await symlink(target, join(staging.dir, name));
    const content = await finish(staging, job);
    return describe({ bytes: 0, files: entries.size, retries: 0, unverified: [...entries.keys()] }, content);
  });
}

async function fetch(source: StorageSource, job: Job): Promise<Done> {
  const { ctx, uri, parallel, destination } = job;
  const { signal, isDurable = true } = ctx;
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
    const files = choose(await retrying({ uri, policy, signal, onRetry }, (watch) => source.list(watch)), job);
    checkPaths(files, uri);
    progress.totalBytes = files.reduce((sum, { size = 0 }) => sum + size, 0);
    progress.totalFiles = files.length;
    ctx.onStart?.(progress);
    return await stage(job, async (staging) => {
      await checkDisk(staging.dir, destination, progress.totalBytes, uri);
      const unverified = await fetchFiles(files, { source, uri, dir: staging.dir, signal, policy, parallel, isDurable, progress });
      const { bytes, retries } = progress;
      return describe({ bytes, files: files.length, retries, unverified }, await finish(staging, job));
    });
  } finally {
    source.dispose();
  }
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

function finish(staging: Staging, { ctx, uri, sha256 }: Job): Promise<ContentReport> {
  const { signal, publicKey, signatureFile, isDurable = true } = ctx;
  return finishContent(staging, { uri, signal, sha256, publicKey, signatureFile, isDurable });
}

function describe(done: Done, { vouched, unpacked }: ContentReport): Done {
  const unverified = done.unverified.filter((path) => !vouched.has(path));
  return { ...done, unverified, ...(unpacked === undefined ? {} : { unpacked }) };
}

/** In the order of their paths, so that what happens does not hang on the store. */
function choose(listed: readonly RemoteFile[], { ctx, uri }: Job): readonly RemoteFile[] {
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
