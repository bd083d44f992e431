import { watch, type FSWatcher } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from '../core/context.ts';
import { isFile } from './model-handler.ts';

type Changed = () => Promise<boolean | number>;

interface Times {
  readonly settleMs: number;
  /** 0: the file system tells. */
  readonly pollMs: number;
}

export interface FileWatch {
  close(): void;
}

/** Paths of directories or files. Of the directories of handlers only code counts: what else a project writes there changes nothing. */
export interface WatchedFiles {
  readonly models: readonly string[];
  readonly handlers: readonly (string | undefined)[];
}

interface Root {
  readonly directory: string;
  readonly isDeep: boolean;
  readonly counts: (name: string) => boolean;
}

/** What is beyond is not watched. */
const MAX_DIRECTORIES = 512;
const MAX_FILES = 10_000;

const CODE = /\.([cm]?[jt]s|json)$/;

/** Files must have been left alone for this long: editors and copies write in several steps. */
const SETTLE_MS = 250;
const MAX_SETTLE_MS = 2000;

/**
 * Calls `changed` after files were changed, added or removed and nothing more has happened for `settleMs`; once more afterwards for what changes meanwhile, and
 * again when it resolves with false, or after as many milliseconds as it resolves with. `changed` never rejects. Directories that begin with a dot and
 * node_modules are left out. With `pollMs` files are looked at so often, instead of whenever the file system tells of a change, which those of other machines do not.
 */
export async function watchFiles(
  files: WatchedFiles,
  changed: Changed,
  log: Logger,
  { settleMs, pollMs = 0 }: { readonly settleMs?: number; readonly pollMs?: number } = {},
): Promise<FileWatch> {
  const models = await Promise.all(files.models.map(rootOfModel));
  const handlers = files.handlers.flatMap((path) =>
    path === undefined ? [] : [{ directory: dirname(path), isDeep: true, counts: (name: string) => CODE.test(name) }],
  );
  // Who looks now and then may look in the middle of a copy.
  const quietMs = settleMs ?? Math.max(SETTLE_MS, Math.min(pollMs / 2, MAX_SETTLE_MS));
  const watching = new Watching([...models, ...handlers], changed, log, { settleMs: quietMs, pollMs });
  await watching.begin();
  return watching;
}

async function rootOfModel(path: string): Promise<Root> {
  if (!(await isFile(path))) return { directory: path, isDeep: true, counts: (name) => !name.endsWith('.log') };
  return { directory: dirname(path), isDeep: false, counts: (name) => name.startsWith(basename(path)) };
}

/** Directories of one moment, and the sizes and times of the files in them. */
interface Snapshot {
  readonly directories: ReadonlySet<string>;
  readonly fingerprint: string;
}

class Watching implements FileWatch {
  readonly #roots: readonly Root[];
  readonly #changed: Changed;
  readonly #log: Logger;
  readonly #times: Times;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #againTimer: NodeJS.Timeout | undefined;
  #isBusy = false;
  /** Something happened while it was busy. */
  #isDue = false;
  #isClosed = false;
  #hasWarned = false;
  /** What the last look found, and what the last call of `changed` was about. */
  #seen = '';
  #taken = '';

  constructor(roots: readonly Root[], changed: Changed, log: Logger, times: Times) {
    this.#roots = roots;
    this.#changed = changed;
    this.#log = log;
    this.#times = times;
  }

  async begin(): Promise<void> {
    this.#seen = this.#taken = await this.#look();
    const { pollMs } = this.#times;
    if (pollMs > 0)
      this.#pollTimer = setInterval(() => {
        // A look that is due is not put off.
        if (this.#timer === undefined) this.#touch();
      }, pollMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#pollTimer);
    clearTimeout(this.#againTimer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #touch(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#settle().catch((error: unknown) => {
        this.#warn(error);
      });
    }, this.#times.settleMs).unref();
  }

  async #settle(): Promise<void> {
    if (this.#isBusy) {
      this.#isDue = true;
      return;
    }
    this.#isBusy = true;
    try {
      const found = await this.#look();
      const isQuiet = found === this.#seen;
      this.#seen = found;
      if (isQuiet && found !== this.#taken) await this.#take(found);
      this.#isDue ||= found !== this.#taken;
    } finally {
      this.#isBusy = false;
      if (this.#isDue) this.#touch();
      this.#isDue = false;
    }
  }

  async #take(found: string): Promise<void> {
    clearTimeout(this.#againTimer);
    const outcome = await this.#changed();
    if (outcome === false) return;
    this.#taken = found;
    if (outcome === true || this.#isClosed) return;
    this.#againTimer = setTimeout(() => {
      this.#taken = '';
      this.#touch();
    }, outcome).unref();
  }

  /** The files as they are; what directories there are now is watched from now on. */
  async #look(): Promise<string> {
    const { directories, fingerprint } = await takeSnapshot(this.#roots);
    if (this.#isClosed || this.#times.pollMs > 0) return fingerprint;
    for (const [directory, watcher] of this.#watchers) {
      if (directories.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of directories) if (!this.#watchers.has(directory)) this.#watch(directory);
    return fingerprint;
  }

  #watch(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => {
        this.#touch();
      });
      watcher.on('error', (error) => {
        this.#warn(error);
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.#isClosed) return;
    this.#hasWarned = true;
    this.#log.warn({ err: error }, 'Not all files can be watched for changes');
  }
}

async function takeSnapshot(roots: readonly Root[]): Promise<Snapshot> {
  const directories = new Set<string>();
  const files = new Map<string, string>();
  for (const root of roots) await addDirectory(root.directory, root, directories, files);
  return {
    directories,
    fingerprint: [...files.keys()]
      .sort()
      .map((path) => `${path} ${files.get(path) ?? ''}`)
      .join('\n'),
  };
}

async function addDirectory(directory: string, root: Root, directories: Set<string>, files: Map<string, string>): Promise<void> {
  if (directories.size >= MAX_DIRECTORIES) return;
  let entries;
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch {
    // Not there yet, or gone while it is replaced.
    return;
  }
  directories.add(directory);
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (root.isDeep && !entry.name.startsWith('.') && entry.name !== 'node_modules') await addDirectory(path, root, directories, files);
    } else if (root.counts(entry.name) && files.size < MAX_FILES) files.set(path, await describeFile(path));
  }
}

/** Of a link, what it leads to. */
async function describeFile(path: string): Promise<string> {
  try {
    const { size, mtimeMs, ino } = await stat(path);
    return `${size} ${mtimeMs} ${ino}`;
  } catch {
    return 'gone';
  }
}
