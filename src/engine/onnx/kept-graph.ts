import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../core/context.ts';
import { openModelCache, type CacheableFiles, type ModelCache } from '../../storage/cache/index.ts';
import type { GraphCacheOptions } from '../engine.ts';
import { cpuFeatures } from './cpu-features.ts';
import { listModelFiles, type ModelFiles } from './model-identity.ts';
import { messageOf } from './ort-failure.ts';

/** Names within an entry: the graph, large weights as the library maps them, and what is known of both. */
const GRAPH = 'model.onnx';
export const WEIGHTS = 'weights.bin';
const FACTS = 'graph.json';

/** A new number for entries that are made or read in another way. */
const FORM = 1;

/** Models of smaller files are loaded before an entry were found. */
const MIN_FILE_BYTES = 32 * 1024;

/** What the kept graph may take of the original's time. */
const WORTHWHILE = 0.7;

/** Memory that the making of one needs beside the model that serves, in the sizes of the model's files. */
const MEMORY_FACTOR = 3;

/** An optimised graph in place of the model it was made from. */
export interface KeptGraph {
  readonly file: string;
  /** What the original took, ms. */
  readonly originalMs: number;
  /** Of the original, as text. */
  readonly signature: string;
  /** The files may go. */
  release(): Promise<void>;
  /** It is of no use. */
  discard(reason: string): Promise<void>;
}

/** How a graph is made and tried. */
export interface GraphMaker {
  /** Writes the graph, and weights beside it. */
  save(file: string): Promise<unknown>;
  /** Loads it, compares its inputs and outputs with those of `signature`, and frees it again. How long the load took, ms. */
  tryOut(file: string, signature: string): Promise<number>;
}

/** Facts about models whose names say which. Times are those of the machine that made the entry. */
type Verdict =
  | { readonly isKept: true; readonly digest: string; readonly originalMs: number; readonly graphMs: number; readonly hashMs: number }
  | { readonly isKept: false; readonly reason: string };

/** What decides how a graph is optimised, besides the model. */
export interface GraphSetting {
  readonly version: string;
  readonly provider: string;
}

/**
 * The graphs of one model file in the cache. What goes wrong with them is logged and costs time: the original is loaded then. Undefined where there is no
 * use in one.
 */
export async function openKeptGraphs(file: string, setting: GraphSetting, options: GraphCacheOptions, log: Logger): Promise<KeptGraphs | undefined> {
  try {
    if ((await stat(file)).size < (options.minFileBytes ?? MIN_FILE_BYTES)) return undefined;
    const files = await listModelFiles(file);
    if (files === undefined) return undefined;
    const cache = await openModelCache({ ...options, keepsUnused: true }, log);
    const conditions = JSON.stringify([FORM, 'onnxruntime', setting.version, setting.provider, await cpuFeatures()]);
    return new KeptGraphs(file, files, cache, conditions, options, log);
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'Optimised graphs are not kept');
    return undefined;
  }
}

/** Makings in this process, one after the other. */
let makings: Promise<void> = Promise.resolve();

export class KeptGraphs {
  readonly #file: string;
  readonly #files: ModelFiles;
  readonly #cache: ModelCache;
  readonly #conditions: string;
  readonly #options: GraphCacheOptions;
  readonly #log: Logger;

  constructor(file: string, files: ModelFiles, cache: ModelCache, conditions: string, options: GraphCacheOptions, log: Logger) {
    this.#file = file;
    this.#files = files;
    this.#cache = cache;
    this.#conditions = conditions;
    this.#options = options;
    this.#log = log;
  }

  /** The graph of this very model, whole and unchanged. Reads the model only where others of its size made that worthwhile. */
  async find(): Promise<KeptGraph | undefined> {
    try {
      const verdict = await this.#recall();
      if (verdict?.isKept !== true) return undefined;
      return await this.#open(verdict);
    } catch (error) {
      this.#log.warn({ file: this.#file, reason: messageOf(error) }, 'A kept graph cannot be read: the model itself is loaded');
      return undefined;
    }
  }

  /**
   * Makes and keeps a graph a little later, when the original took long enough for it. `stop` ends the wait for that; a making that has begun goes on.
   */
  keepLater(originalMs: number, signature: string, maker: GraphMaker): { stop(): void } {
    if (originalMs < this.#options.worthMs) return { stop: () => undefined };
    const timer = setTimeout(() => {
      makings = makings.then(() => this.#keep(originalMs, signature, maker));
    }, this.#options.makeAfterMs).unref();
    return {
      stop: () => {
        clearTimeout(timer);
      },
    };
  }

  /** Never rejects. */
  async #keep(originalMs: number, signature: string, maker: GraphMaker): Promise<void> {
    try {
      const known = await this.#recall();
      if (known?.isKept === false) return;
      const found = known === undefined ? undefined : await this.#open(known);
      if (found !== undefined) {
        await found.release();
        return;
      }
      const free = process.availableMemory();
      if (this.#files.bytes * MEMORY_FACTOR > free) {
        this.#log.info({ file: this.#file, bytes: this.#files.bytes, free }, 'The optimised graph is not kept: too little memory to make it');
        return;
      }
      // Before the files are read: what changes them from now on gives them another identity.
      const isSettled = this.#files.isSettled();
      const verdict = await this.#make(originalMs, signature, maker);
      if (verdict === undefined) {
        this.#log.info({ file: this.#file, bytes: this.#files.bytes }, 'The optimised graph is not kept: it does not fit into the cache');
        return;
      }
      await this.#cache.known.write(this.#sizesName, verdict);
      if (isSettled) await this.#cache.known.write(this.#identityName, verdict);
      if (verdict.isKept)
        this.#log.info({ file: this.#file, originalMs: Math.round(originalMs), graphMs: Math.round(verdict.graphMs) }, 'Optimised graph kept');
      else this.#log.info({ file: this.#file, reason: verdict.reason }, 'The optimised graph is not kept');
    } catch (error) {
      this.#log.warn({ file: this.#file, reason: messageOf(error) }, 'The optimised graph cannot be kept');
    }
  }

  /** Undefined when the cache has no room for it now. */
  async #make(originalMs: number, signature: string, maker: GraphMaker): Promise<Verdict | undefined> {
    const startedAt = performance.now();
    const digest = await this.#files.digest();
    const hashMs = performance.now() - startedAt;
    let graphMs = 0;
    const entry = this.#entryOf(digest, async (dir) => {
      const file = join(dir, GRAPH);
      await maker.save(file);
      graphMs = await maker.tryOut(file, signature).catch((error: unknown) => {
        throw new NotWorthwhile(messageOf(error));
      });
      if (graphMs > originalMs * WORTHWHILE && this.#options.worthMs > 0) {
        throw new NotWorthwhile(`it takes ${Math.round(graphMs)} ms to load, the original ${Math.round(originalMs)}`);
      }
      // What was read while it changed must not stand for either content.
      if ((await listModelFiles(this.#file))?.identity !== this.#files.identity) throw new Error('the files of the model have changed meanwhile');
      await writeFile(join(dir, FACTS), JSON.stringify({ graph: await sha256Of(file), signature, originalMs }));
    });
    try {
      const kept = await this.#cache.obtain(entry, new AbortController().signal);
      if (kept === undefined) return undefined;
      await kept.release();
      return { isKept: true, digest, originalMs, graphMs, hashMs };
    } catch (error) {
      if (error instanceof NotWorthwhile) return { isKept: false, reason: error.message };
      throw error;
    }
  }

  async #recall(): Promise<Verdict | undefined> {
    const known = toVerdict(await this.#cache.known.read(this.#identityName));
    if (known !== undefined) return known;
    const alike = toVerdict(await this.#cache.known.read(this.#sizesName));
    if (alike?.isKept !== true) return alike;
    if (alike.graphMs + alike.hashMs > alike.originalMs * WORTHWHILE && this.#options.worthMs > 0) return undefined;
    const isSettled = this.#files.isSettled();
    const verdict = { ...alike, digest: await this.#files.digest() };
    if (isSettled) await this.#cache.known.write(this.#identityName, verdict);
    return verdict;
  }

  async #open({ digest }: Verdict & { readonly isKept: true }): Promise<KeptGraph | undefined> {
    const entry = this.#entryOf(digest);
    const kept = await this.#cache.peek(entry);
    if (kept === undefined) return undefined;
    const discard = async (reason: string): Promise<void> => {
      this.#log.warn({ file: this.#file, entry: kept.dir, reason }, 'A kept graph is removed: the model itself is loaded');
      await this.#cache.discard(entry);
      await kept.release();
    };
    try {
      const file = join(kept.dir, GRAPH);
      const facts = JSON.parse(await readFile(join(kept.dir, FACTS), 'utf8')) as { graph: string; signature: string; originalMs: number };
      if ((await sha256Of(file)) !== facts.graph) throw new Error('its content has changed');
      return { file, originalMs: facts.originalMs, signature: facts.signature, release: kept.release, discard };
    } catch (error) {
      await discard(messageOf(error));
      return undefined;
    }
  }

  #entryOf(digest: string, make?: (dir: string) => Promise<void>): CacheableFiles {
    const uri = `optimised graph of ${this.#file}`;
    return {
      uri,
      version: { digest: this.#named('graph', digest), isCertain: true },
      totalBytes: this.#files.bytes,
      to: async (dir) => {
        await mkdir(dir, { mode: 0o700 });
        await make?.(dir);
        const { files, bytes } = await syncFiles(dir);
        return { uri, destination: dir, bytes, files, retries: 0, seconds: 0, unverified: [] };
      },
      verify: () => Promise.resolve(),
    };
  }

  get #identityName(): string {
    return this.#named('files', this.#files.identity);
  }

  get #sizesName(): string {
    return this.#named('sizes', this.#files.sizes);
  }

  #named(kind: string, text: string): string {
    return createHash('sha256')
      .update(JSON.stringify([kind, this.#conditions, text]))
      .digest('hex');
  }
}

class NotWorthwhile extends Error {}

function toVerdict(read: unknown): Verdict | undefined {
  return typeof read === 'object' && read !== null && 'isKept' in read ? (read as Verdict) : undefined;
}

async function sha256Of(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

/** On the disk before the entry says that they are whole. */
async function syncFiles(dir: string): Promise<{ readonly files: number; readonly bytes: number }> {
  const names = await readdir(dir);
  let bytes = 0;
  for (const name of names) {
    const handle = await open(join(dir, name), 'r');
    try {
      await handle.sync();
      bytes += (await handle.stat()).size;
    } finally {
      await handle.close();
    }
  }
  return { files: names.length, bytes };
}
