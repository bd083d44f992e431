import { dirname, join } from 'node:path';
import { modelNotFound } from '../core/errors.ts';
import type { ModelSource } from '../storage/index.ts';
import { openFetchedModels, placeOf, withFetched, type FetchedModels } from './fetched-models.ts';
import { readServedLayout } from './fileless.ts';
import {
  readRepositoryModel,
  rereadModel,
  type FetchedVersion,
  type Layout,
  type LayoutReader,
  type ModelLocation,
  type ModelVersion,
} from './layout.ts';
import type { LoadedVersion } from './loaded-version.ts';
import { refuseUnfinished } from './unfinished.ts';
import type { RepositoryOptions } from './wiring.ts';

/** Of a model of a source: the version that serves, the one fetched last, which may have failed to load, or what storage has at this moment. */
export type Which = 'same' | 'newest' | 'latest';

/** Where the files of models lie: in a directory, or in what was fetched of a source. */
export class ServedFiles {
  readonly #options: RepositoryOptions;
  readonly #reader: Omit<LayoutReader, 'modelDir'>;
  /** What is served lies in it; that of the newest version for models of a source. */
  #modelDir: string | undefined;
  #fetched: FetchedModels | undefined;

  constructor(options: RepositoryOptions, reader: Omit<LayoutReader, 'modelDir'>) {
    this.#options = options;
    this.#reader = reader;
    this.#modelDir = options.modelDir;
  }

  /** Undefined for what is served where it is. */
  get fetched(): FetchedModels | undefined {
    return this.#fetched;
  }

  /** As the user named it. */
  get place(): string | undefined {
    return this.#fetched?.uri ?? this.#modelDir;
  }

  /** Models of a source are fetched; what is there already is served where it is. */
  async open(openSource: (() => Promise<ModelSource>) | undefined, signal: AbortSignal): Promise<void> {
    if (openSource === undefined) {
      if (this.#modelDir !== undefined) await refuseUnfinished([this.#modelDir]);
      return;
    }
    const opened = await openFetchedModels(await openSource(), this.#reader.log, signal);
    if (typeof opened === 'string') {
      this.#modelDir = opened;
      return;
    }
    this.#fetched = opened;
    this.#modelDir = opened.current.dir;
  }

  /** Fetches what storage has at this moment; `signal` gives up. */
  async takeLatest(signal: AbortSignal): Promise<void> {
    const fetched = this.#fetched;
    if (fetched !== undefined) await fetched.take(await fetched.look(signal));
  }

  async readLayout(): Promise<Layout> {
    const fetched = this.#fetched?.current;
    const layout = await readServedLayout({ ...this.#options, modelDir: this.#modelDir }, this.#readerOf(fetched));
    return { ...layout, models: layout.models.map((location) => withFetched(location, fetched)) };
  }

  /** A model of a repository; undefined when there is none of the name. */
  async find(name: string): Promise<ModelLocation | undefined> {
    const fetched = this.#fetched?.current;
    const found = await readRepositoryModel(name, this.#readerOf(fetched));
    return found === undefined ? undefined : withFetched(found, fetched);
  }

  /** What is there of a known model now; one without files stays what it is. Throws model_not_found when nothing is left. */
  async locate(location: ModelLocation, which: Which, signal: AbortSignal): Promise<ModelLocation> {
    if (location.isFileless === true || (which === 'same' && location.fetched !== undefined)) return location;
    if (which === 'latest') await this.takeLatest(signal);
    const { name } = location;
    const fetched = this.#fetched?.current;
    const path = fetched === undefined ? location.path : join(fetched.dir, placeOf(location));
    const found = await rereadModel({ ...location, path }, this.#readerOf(fetched));
    if (found !== undefined) return withFetched(found, fetched);
    if (this.#options.handler?.path === undefined) throw modelNotFound(name);
    return withFetched({ name, path, versions: [{ version: '1', path }] }, fetched);
  }

  /**
   * Runs `load` of a version, whose files stay until what it loaded is freed: its process may have to be started again. Throws model_not_ready for files whose
   * download was not ended.
   */
  async keep(location: ModelLocation, version: ModelVersion, load: () => Promise<LoadedVersion>): Promise<LoadedVersion> {
    const { fetched, path, isFileless } = location;
    if (isFileless !== true) await refuseUnfinished([this.#readerOf(fetched).modelDir, path, version.path]);
    return fetched === undefined || this.#fetched === undefined ? await load() : await this.#fetched.keep(fetched, load);
  }

  /** No fetched files go while `load` runs. */
  async during<T>(load: () => Promise<T>): Promise<T> {
    return this.#fetched === undefined ? await load() : await this.#fetched.during(load);
  }

  /** The end: what was fetched is released. */
  async close(): Promise<void> {
    await this.#fetched?.close();
  }

  #readerOf(fetched: FetchedVersion | undefined): LayoutReader {
    return { ...this.#reader, modelDir: fetched?.dir ?? this.#modelDir ?? dirname(this.#options.handler?.path ?? '') };
  }
}
