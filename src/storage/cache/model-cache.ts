import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../core/context.ts';
import type { OpenDownload } from '../download.ts';
import { touch } from '../owner.ts';
import type { DownloadReport } from '../storage.ts';
import { makeCacheFolders, type CacheFolders } from './cache-folders.ts';
import { evict, makeRoom, sweep } from './evict.ts';
import { KnownFacts } from './known-facts.ts';
import { lockOrWait } from './lock.ts';
import { FILES_NAME, findDamage, MANIFEST_NAME, readManifest, writeManifest, type Manifest } from './manifest.ts';
import { markUse } from './use.ts';

export interface CacheOptions {
  readonly dir: string;
  /** Most bytes of all entries; 0 leaves it to the volume. */
  readonly maxBytes: number;
  /** False: an entry that nobody uses any more goes at once. */
  readonly keepsUnused: boolean;
}

/** The files of one download. They stay as they are until `release`. */
export interface CachedFiles {
  readonly dir: string;
  /** Nothing was fetched. */
  readonly isHit: boolean;
  /** Of the download, now or when it was made. */
  readonly report: Manifest['report'];
  /** Of the download that this call made. */
  readonly download?: DownloadReport;
  readonly release: () => Promise<void>;
}

/** What a cache keeps, and how it is brought: a download, or files made from those of one. */
export type CacheableFiles = Pick<OpenDownload, 'uri' | 'version' | 'totalBytes' | 'to' | 'verify'>;

/** Whole downloads by their content, shared by all processes that are given the same directory, on a volume that several machines mount as well. */
export interface ModelCache {
  /** What was found out about files, by whoever shares the directory. */
  readonly known: KnownFacts;
  /** Undefined when what is to be fetched does not fit into the bound beside what is in use. */
  obtain(opened: CacheableFiles, signal: AbortSignal): Promise<CachedFiles | undefined>;
  /** What is there already. */
  peek(opened: CacheableFiles): Promise<CachedFiles | undefined>;
  /** Removes what turned out to be of no use, for everybody. Those that have its files open keep them. */
  discard(opened: CacheableFiles): Promise<void>;
}

type FoundEntry = Pick<CachedFiles, 'dir' | 'report'>;

export async function openModelCache(options: CacheOptions, log: Logger): Promise<ModelCache> {
  const folders = await makeCacheFolders(options.dir);
  await sweep(folders);
  if (!options.keepsUnused) await makeRoom(folders, 0, KEEP_NOTHING);
  return new DirectoryCache(folders, options, log);
}

/** A bound that only entries in use may be over: what ended processes have left goes. */
const KEEP_NOTHING = 1;

class DirectoryCache implements ModelCache {
  readonly known: KnownFacts;
  readonly #folders: CacheFolders;
  readonly #options: CacheOptions;
  readonly #log: Logger;

  constructor(folders: CacheFolders, options: CacheOptions, log: Logger) {
    this.known = new KnownFacts(folders.known);
    this.#folders = folders;
    this.#options = options;
    this.#log = log;
  }

  async obtain(opened: CacheableFiles, signal: AbortSignal): Promise<CachedFiles | undefined> {
    return await this.#hold(opened, async (key) => (await this.#findHit(key, opened)) ?? (await this.#fetchOnce(key, opened, signal)));
  }

  async peek(opened: CacheableFiles): Promise<CachedFiles | undefined> {
    return await this.#hold(opened, (key) => this.#findHit(key, opened));
  }

  async discard({ version }: CacheableFiles): Promise<void> {
    await this.#discard(join(this.#folders.entries, version.digest));
  }

  async #hold(opened: CacheableFiles, find: (key: string) => Promise<Omit<CachedFiles, 'release'> | undefined>): Promise<CachedFiles | undefined> {
    // Somebody may have emptied the volume meanwhile.
    await makeCacheFolders(this.#options.dir);
    const { digest, isCertain } = opened.version;
    const key = isCertain ? digest : randomBytes(32).toString('hex');
    // Before the first look: from here on nobody removes the entry.
    const use = await markUse(this.#folders, key);
    const release = async (): Promise<void> => {
      await use.release();
      if (!this.#options.keepsUnused || !isCertain) await evict(this.#folders, key);
    };
    try {
      const found = await find(key);
      if (found !== undefined) return { ...found, release };
      await release();
      return undefined;
    } catch (error) {
      await release();
      throw error;
    }
  }

  async #findHit(key: string, opened: CacheableFiles): Promise<Omit<CachedFiles, 'release'> | undefined> {
    const found = await this.#find(key, opened);
    return found === undefined ? undefined : { ...found, isHit: true };
  }

  /** A whole entry that passes what this process asks of it, and nothing else. What is damaged goes; what only this process mistrusts may serve others. */
  async #find(key: string, opened: CacheableFiles): Promise<FoundEntry | undefined> {
    const entry = join(this.#folders.entries, key);
    if (!(await exists(entry))) return undefined;
    const dir = join(entry, FILES_NAME);
    const damage = await findDamage(entry, key);
    const manifest = damage === undefined ? await readManifest(entry) : undefined;
    if (manifest === undefined) {
      this.#log.warn({ uri: opened.uri, entry, damage }, 'A cached model is damaged: it is fetched again');
      await this.#discard(entry);
      return undefined;
    }
    const mistrust = await findMistrust(dir, opened);
    if (mistrust !== undefined) {
      this.#log.warn({ uri: opened.uri, entry, mistrust }, 'A cached model is not what was asked for: it is fetched again');
      return undefined;
    }
    await touch(join(entry, MANIFEST_NAME));
    return { dir, report: manifest.report };
  }

  /** Fetches it, unless somebody else who is at it already comes to an end first. */
  async #fetchOnce(key: string, opened: CacheableFiles, signal: AbortSignal): Promise<Omit<CachedFiles, 'release'> | undefined> {
    const staging = randomBytes(12).toString('hex');
    let found = undefined as FoundEntry | undefined;
    const lock = await lockOrWait(join(this.#folders.locks, key), staging, {
      signal,
      isDone: async () => (found = await this.#find(key, opened)) !== undefined,
      abandoned: (record) => rm(join(this.#folders.staging, record.staging), { recursive: true, force: true }),
    });
    try {
      // It may have come between the last look and the lock.
      found ??= await this.#find(key, opened);
      if (found !== undefined) return { ...found, isHit: true };
      if (!(await this.#makeRoom(opened.totalBytes, opened))) return undefined;
      return await this.#fetch(key, opened, join(this.#folders.staging, staging));
    } finally {
      await lock?.release();
    }
  }

  async #fetch(key: string, opened: CacheableFiles, staging: string): Promise<Omit<CachedFiles, 'release'>> {
    const entry = join(this.#folders.entries, key);
    try {
      await mkdir(staging, { mode: 0o700 });
      const download = await opened.to(join(staging, FILES_NAME));
      const { unverified, unpacked } = download;
      const report = { unverified, ...(unpacked === undefined ? {} : { unpacked }) };
      const manifest = await writeManifest(staging, { key, uri: opened.uri, report });
      // An archive is larger when it is unpacked, and some stores do not tell sizes.
      if (manifest.bytes > opened.totalBytes) await this.#makeRoom(manifest.bytes, opened);
      // Somebody who took the lock for abandoned may have been first. What is mistrusted gives way to what has just been verified.
      if (!(await renameInto(staging, entry))) {
        if ((await findMistrust(join(entry, FILES_NAME), opened)) !== undefined) {
          await this.#discard(entry);
          await renameInto(staging, entry);
        }
        await rm(staging, { recursive: true, force: true });
      }
      return { dir: join(entry, FILES_NAME), isHit: false, report, download };
    } catch (error) {
      await rm(staging, { recursive: true, force: true });
      throw error;
    }
  }

  async #makeRoom(bytes: number, { uri }: CacheableFiles): Promise<boolean> {
    const { maxBytes } = this.#options;
    const { fits, evicted } = await makeRoom(this.#folders, bytes, maxBytes);
    if (evicted.length > 0) this.#log.info({ evicted: evicted.length, dir: this.#folders.root }, 'Cached models removed to make room');
    if (!fits) this.#log.warn({ uri, bytes, maxBytes }, 'The model does not fit into the cache beside what is in use');
    return fits;
  }

  async #discard(entry: string): Promise<void> {
    const aside = join(this.#folders.staging, randomBytes(12).toString('hex'));
    if (await renameInto(entry, aside)) await rm(aside, { recursive: true, force: true });
  }
}

/** What passed the pin and the signature when it came must pass them now. */
async function findMistrust(dir: string, opened: CacheableFiles): Promise<string | undefined> {
  try {
    await opened.verify(dir);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** False when the target is there already, or the source is not any more. */
async function renameInto(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(code)) return false;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
