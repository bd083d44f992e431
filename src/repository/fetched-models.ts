import { relative } from 'node:path';
import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { ModelFiles, ModelLook, ModelSource } from '../storage/index.ts';
import type { FetchedVersion, ModelLocation } from './layout.ts';
import type { LoadedVersion } from './loaded-version.ts';

interface Held {
  readonly fetched: FetchedVersion;
  readonly files: ModelFiles;
  /** Loaded models that are served from it. */
  users: number;
}

/** Asks a source for the first time. A path is what needs no fetching: it is served where it is. */
export async function openFetchedModels(source: ModelSource, log: Logger, signal: AbortSignal): Promise<FetchedModels | string> {
  const look = await source.look(signal);
  if (look.localPath !== undefined) {
    look.close();
    return look.localPath;
  }
  const models = new FetchedModels(source, log);
  await models.take(look);
  return models;
}

export function withFetched(location: ModelLocation, fetched: FetchedVersion | undefined): ModelLocation {
  return fetched === undefined ? location : { ...location, fetched };
}

/** Where a model lies: the same for the same model of another version. */
export function placeOf({ path, fetched }: ModelLocation): string {
  return fetched === undefined ? path : relative(fetched.dir, path);
}

/** Versions of what a URI names, each in a directory of its own. Keeps the newest one, and each as long as a loaded model needs it. */
export class FetchedModels {
  readonly uri: string;
  readonly #source: ModelSource;
  readonly #log: Logger;
  readonly #held = new Map<string, Held>();
  readonly #releases = new Set<Promise<void>>();
  #current: Held | undefined;
  #taking: Promise<void> = Promise.resolve();
  /** Loads under way: until they are over nothing goes, since any version may be what they load. */
  #loads = 0;

  constructor(source: ModelSource, log: Logger) {
    this.uri = source.uri;
    this.#source = source;
    this.#log = log;
  }

  /** Throws model_not_ready before the first `take`. */
  get current(): FetchedVersion {
    if (this.#current === undefined) throw new ServingError('model_not_ready', `Cannot serve ${this.uri}: nothing of it was downloaded yet`);
    return this.#current.fetched;
  }

  /** What is in storage now. To be given to `take` or closed. */
  async look(signal: AbortSignal): Promise<ModelLook> {
    return await this.#source.look(signal);
  }

  /** Makes it the current version, fetched unless it is held, and closes the look. One after the other. */
  async take(look: ModelLook): Promise<FetchedVersion> {
    const turn = this.#taking.then(() => this.#take(look));
    this.#taking = turn.then(
      () => undefined,
      () => undefined,
    );
    return await turn;
  }

  /** Keeps the files of what `load` loads until that is freed. */
  async keep({ version }: FetchedVersion, load: () => Promise<LoadedVersion>): Promise<LoadedVersion> {
    const held = this.#held.get(version);
    if (held === undefined) throw new ServingError('internal', `Cannot serve ${this.uri}: its files are gone`);
    const freed = (): void => {
      held.users--;
      this.#collect();
    };
    held.users++;
    try {
      const loaded = await load();
      loaded.onFreed(freed);
      return loaded;
    } catch (error) {
      freed();
      throw error;
    }
  }

  async during<T>(load: () => Promise<T>): Promise<T> {
    this.#loads++;
    try {
      return await load();
    } finally {
      this.#loads--;
      this.#collect();
    }
  }

  /** The end: all files are released. */
  async close(): Promise<void> {
    for (const held of this.#held.values()) this.#release(held);
    this.#current = undefined;
    await Promise.all(this.#releases);
  }

  async #take(look: ModelLook): Promise<FetchedVersion> {
    try {
      const { version } = look;
      let held = this.#held.get(version);
      if (held === undefined) {
        const files = await look.fetch();
        held = { fetched: { version, dir: files.dir }, files, users: 0 };
        this.#held.set(version, held);
      }
      this.#current = held;
      this.#collect();
      return held.fetched;
    } finally {
      look.close();
    }
  }

  #collect(): void {
    if (this.#loads > 0) return;
    for (const held of this.#held.values()) if (held !== this.#current && held.users === 0) this.#release(held);
  }

  #release(held: Held): void {
    const { version, dir } = held.fetched;
    this.#held.delete(version);
    const release = held.files
      .release()
      .catch((error: unknown) => {
        this.#log.warn({ err: error, dir }, 'Files of a replaced model could not be removed');
      })
      .finally(() => this.#releases.delete(release));
    this.#releases.add(release);
  }
}
