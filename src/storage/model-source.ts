import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import { archiveFormat } from './archive/format.ts';
import { openModelCache, type ModelCache } from './cache/model-cache.ts';
import { openDownload, type OpenDownload } from './download.ts';
import { showUri } from './failure.ts';
import type { StorageSettings } from './options.ts';
import type { DownloadProgress, Environment } from './storage.ts';

/** Files of one version of what a URI names. */
export interface ModelFiles {
  /** Never changed. */
  readonly dir: string;
  /** They may go. */
  release(): Promise<void>;
}

/** What a URI names at this moment, listed with the credentials of the environment. `close` must be called. */
export interface ModelLook {
  /** Another one for other content. */
  readonly version: string;
  /** Files that are there already, in a directory or a file that is no archive: they need no fetching, and change where they are. */
  readonly localPath?: string;
  /** Ends with the signal of the look. */
  fetch(): Promise<ModelFiles>;
  close(): void;
}

/** Where a model comes from that has a URI instead of a directory. */
export interface ModelSource {
  /** As people may see it. */
  readonly uri: string;
  look(signal: AbortSignal): Promise<ModelLook>;
}

export interface ModelSourceContext {
  readonly env: Environment;
  readonly log: Logger;
}

/** How often the log tells of a download. */
const PROGRESS_MS = 5000;

/** Everything is asked of the store on `look`: credentials are read anew each time. */
export async function createModelSource(uri: string, settings: StorageSettings, { env, log }: ModelSourceContext): Promise<ModelSource> {
  const publicKey = settings.publicKey === undefined ? undefined : await readKey(settings.publicKey);
  const caches = new Caches(settings, log);
  return {
    uri: showUri(uri),
    look: async (signal) => {
      const progress = new ProgressLog(log);
      const opened = await openDownload(uri, {
        env,
        signal,
        log,
        expectSha256: settings.expectSha256,
        publicKey,
        signatureFile: settings.signature,
        isDurable: settings.fsync,
        onStart: (counted) => {
          progress.start(opened.uri, counted);
        },
      });
      const { localPath } = opened;
      return {
        version: opened.version.digest,
        ...(localPath === undefined || archiveFormat(localPath) !== undefined ? {} : { localPath }),
        fetch: () => progress.during(() => fetchFiles(opened, caches, log, signal)),
        close: () => {
          opened.close();
        },
      };
    },
  };
}

async function readKey(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ServingError('invalid_request', `Cannot read --public_key ${path}: ${why}`, { cause: error });
  }
}

/** The one that is shared, and one for this user's models that nobody keeps. Made on first use. */
class Caches {
  readonly #settings: StorageSettings;
  readonly #log: Logger;
  #shared: Promise<ModelCache> | undefined;
  #own: Promise<ModelCache> | undefined;

  constructor(settings: StorageSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  async shared(): Promise<ModelCache | undefined> {
    const { modelCache: dir, modelCacheBytes: maxBytes } = this.#settings;
    if (dir === undefined) return undefined;
    this.#shared ??= openModelCache({ dir, maxBytes, keepsUnused: true }, this.#log);
    return await this.#shared;
  }

  async own(): Promise<ModelCache> {
    this.#own ??= openModelCache({ dir: tmpdir(), maxBytes: 0, keepsUnused: false }, this.#log);
    return await this.#own;
  }
}

async function fetchFiles(opened: OpenDownload, caches: Caches, log: Logger, signal: AbortSignal): Promise<ModelFiles> {
  const { uri } = opened;
  const shared = await caches.shared();
  const found = (await shared?.obtain(opened, signal)) ?? (await (await caches.own()).obtain(opened, signal));
  if (found === undefined) throw new ServingError('internal', `Cannot download ${uri}: no room, give the volume more`);
  const { dir, isHit, download, report, release } = found;
  const { bytes = 0, files, retries, seconds = 0 } = download ?? {};
  const megabytesPerSecond = Number((bytes / 1e6 / Math.max(seconds, 1e-3)).toFixed(1));
  const facts = isHit ? {} : { bytes, files, retries, seconds: Number(seconds.toFixed(3)), megabytesPerSecond };
  log.info({ uri, dir, ...facts, unverifiedFiles: report.unverified.length }, isHit ? 'Model is in the cache' : 'Model downloaded');
  return { dir, release };
}

/** While something is fetched, a line now and then. */
class ProgressLog {
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  start(uri: string, progress: Readonly<DownloadProgress>): void {
    const { totalBytes, totalFiles } = progress;
    this.#log.info({ uri, totalBytes, totalFiles }, 'Downloading');
    this.#timer = setInterval(() => {
      const { bytes, files, retries } = progress;
      this.#log.info({ uri, bytes, totalBytes, files, totalFiles, retries }, 'Downloading');
    }, PROGRESS_MS).unref();
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      clearInterval(this.#timer);
    }
  }
}
