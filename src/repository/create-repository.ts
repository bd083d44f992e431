import { ServingError, isServingError, modelNotFound, toServingError } from '../core/errors.ts';
import type { ModelIndexEntry } from '../core/metadata.ts';
import { detectEngine } from '../engine/index.ts';
import { ExecutorPool, type CreateExecutor } from './executor-pool.ts';
import { readLayout, readRepositoryModel, rereadModel, type LayoutReader, type ModelLocation } from './layout.ts';
import { loadVersion, type LoadDependencies, type LoadOptions } from './loaded-version.ts';
import { checkModelName } from './model-name.ts';
import { ModelSlot, type LoadOne } from './model-slot.ts';
import type { ModelRepository, ServedModel } from './repository.ts';
import { within } from './within.ts';

export interface RepositoryOptions extends LoadOptions {
  /** Names the only model; undefined when not given. */
  readonly modelName: string | undefined;
  /** Absolute path of a directory or a file. */
  readonly modelDir: string;
  /** `auto`: inline for exactly one model, a process for each of several. */
  readonly isolation: 'auto' | 'inline' | 'process';
}

export interface RepositoryDependencies extends Omit<LoadDependencies, 'lease'> {
  readonly createExecutor: CreateExecutor;
  /** Resolves when an engine takes this directory or file for a model, else rejects with ServingError; by default the engines are asked. */
  readonly detect?: (path: string) => Promise<unknown>;
}

/** Models that load at the same time at start. */
const LOADS_AT_ONCE = 4;

/** Beyond the grace, for what is killed to be gone. */
const CLOSE_MARGIN_MS = 1000;

interface LoadFailure {
  readonly slot: ModelSlot;
  readonly error: ServingError;
}

export function createRepository(options: RepositoryOptions, deps: RepositoryDependencies): ModelRepository {
  return new DirectoryRepository(options, deps);
}

class DirectoryRepository implements ModelRepository {
  readonly #options: RepositoryOptions;
  readonly #deps: RepositoryDependencies;
  readonly #reader: LayoutReader;
  readonly #executors: ExecutorPool;
  readonly #slots = new Map<string, ModelSlot>();
  readonly #closing = new AbortController();
  #isSingle = false;
  #closed: Promise<void> | undefined;

  constructor(options: RepositoryOptions, deps: RepositoryDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#reader = { modelDir: options.modelDir, detect: deps.detect ?? ((path) => detectEngine({ path })), log: deps.log };
    this.#executors = new ExecutorPool(deps.createExecutor);
  }

  async start(signal: AbortSignal): Promise<void> {
    const { modelName, modelDir } = this.#options;
    if (modelName !== undefined) checkModelName(modelName);
    const layout = await readLayout(modelName, this.#reader);
    this.#isSingle = layout.kind === 'single';
    for (const location of layout.models) this.#slots.set(location.name, this.#createSlot(location, true));
    const failures = await this.#loadAll(signal);
    const [first] = failures;
    if (first === undefined || failures.length < this.#slots.size) return;
    await this.close(0);
    const others = failures.length > 1 ? ` (and ${failures.length - 1} more of ${modelDir})` : '';
    throw new ServingError(
      first.error.reason,
      `Cannot load model "${first.slot.name}" from ${first.slot.location.path}: ${first.error.message}${others}`,
      { cause: first.error },
    );
  }

  names(): readonly string[] {
    return this.#wanted().map((slot) => slot.name);
  }

  find(name: string, version?: string): ServedModel {
    return this.#slot(name).find(version);
  }

  isReady(name: string, version?: string): boolean {
    const slot = this.#slot(name);
    if (version !== undefined && !slot.hasVersion(version)) throw modelNotFound(name, version);
    return slot.isReady;
  }

  isAllReady(): boolean {
    const wanted = this.#wanted();
    return wanted.length > 0 && wanted.every((slot) => slot.isReady);
  }

  index(): readonly ModelIndexEntry[] {
    return [...this.#slots.values()].map((slot) => slot.indexEntry());
  }

  async load(name: string): Promise<void> {
    const slot = this.#slots.get(name) ?? (await this.#discover(name));
    try {
      await slot.load(async () => {
        const location = await rereadModel(slot.location, this.#reader);
        if (location === undefined) throw modelNotFound(name);
        return location;
      });
    } catch (error) {
      if (isServingError(error) && (error.reason === 'conflict' || error.reason === 'model_not_found')) throw error;
      const { message } = toServingError(error);
      this.#logFailure(slot, error);
      throw new ServingError('model_not_ready', `Model with name ${name} is not ready. ${message}`, { cause: error });
    }
  }

  async unload(name: string): Promise<void> {
    await this.#slot(name).unload();
  }

  async close(graceMs: number): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    await this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    const endsAt = performance.now() + graceMs;
    this.#closing.abort(new ServingError('server_not_ready', 'Server is shutting down'));
    await within(Promise.all([...this.#slots.values()].map((slot) => slot.close(graceMs))), graceMs + CLOSE_MARGIN_MS);
    await this.#executors.stop(Math.max(0, endsAt - performance.now()));
  }

  /** Resolves with the models that could not be loaded. */
  async #loadAll(signal: AbortSignal): Promise<LoadFailure[]> {
    const failures: LoadFailure[] = [];
    const waiting = [...this.#slots.values()];
    const work = async (): Promise<void> => {
      for (let slot = waiting.shift(); slot !== undefined; slot = waiting.shift()) {
        const { location } = slot;
        try {
          await slot.load(() => Promise.resolve(location));
        } catch (error) {
          failures.push({ slot, error: toServingError(error) });
          // The failure of the only model is the caller's to report.
          if (this.#slots.size > 1) this.#logFailure(slot, error);
        }
      }
    };
    const giveUp = (): void => {
      this.#closing.abort(signal.reason);
    };
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    await Promise.all(Array.from({ length: LOADS_AT_ONCE }, work));
    signal.removeEventListener('abort', giveUp);
    return failures;
  }

  /** What a ServingError says is about the model's files and takes one line; a stack would be about our code. */
  #logFailure({ name, location: { path } }: ModelSlot, error: unknown): void {
    const why = isServingError(error) ? { reason: error.message } : { err: error };
    this.#deps.log.error({ model: name, path, ...why }, 'Model could not be loaded');
  }

  #wanted(): ModelSlot[] {
    return [...this.#slots.values()].filter((slot) => slot.isWanted);
  }

  #slot(name: string): ModelSlot {
    const slot = this.#slots.get(name);
    if (slot === undefined) throw modelNotFound(name);
    return slot;
  }

  /** A sub-directory that has appeared since the start; that of an only model under another name is not one. */
  async #discover(name: string): Promise<ModelSlot> {
    const location = this.#isSingle ? undefined : await readRepositoryModel(name, this.#reader);
    const isKnown = [...this.#slots.values()].some((slot) => slot.location.path === location?.path);
    if (location === undefined || (isKnown && !this.#slots.has(name))) throw modelNotFound(name);
    const slot = this.#slots.get(name) ?? this.#createSlot(location, false);
    this.#slots.set(name, slot);
    return slot;
  }

  #createSlot(location: ModelLocation, isWanted: boolean): ModelSlot {
    const load: LoadOne = (name, version) =>
      loadVersion(
        name,
        version,
        this.#options,
        { ...this.#deps, lease: (model) => this.#executors.lease(this.#isolation(), model) },
        this.#closing.signal,
      );
    return new ModelSlot(location, isWanted, load, this.#deps.log);
  }

  #isolation(): 'inline' | 'process' {
    if (this.#options.isolation !== 'auto') return this.#options.isolation;
    return this.#slots.size > 1 ? 'process' : 'inline';
  }
}
