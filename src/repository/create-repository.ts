import { dirname } from 'node:path';
import { ServingError, isServingError, modelNotFound, toServingError } from '../core/errors.ts';
import type { ModelIndexEntry } from '../core/metadata.ts';
import { settledWithin } from '../core/settled-within.ts';
import { detectEngine } from '../engine/index.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import { ExecutorPool, type CreateExecutor, type ExecutorPurpose } from './executor-pool.ts';
import { watchFiles, type FileWatch } from './file-watch.ts';
import { readServedLayout } from './fileless.ts';
import { readRepositoryModel, rereadModel, type LayoutReader, type ModelLocation } from './layout.ts';
import { loadVersion, type LoadDependencies, type LoadOptions } from './loaded-version.ts';
import { findModelHandler } from './model-handler.ts';
import { checkModelName } from './model-name.ts';
import { ModelSlot, type SlotHooks } from './model-slot.ts';
import type { ModelRepository, ServedModel } from './repository.ts';

export interface RepositoryOptions extends LoadOptions {
  /** Names the only model; undefined when not given. */
  readonly modelName: string | undefined;
  /** Absolute path of a directory or a file; undefined only with a handler or a predictor elsewhere. */
  readonly modelDir: string | undefined;
  /** `auto`: inline for exactly one model without user code, else a process for each model. */
  readonly isolation: 'auto' | 'inline' | 'process';
  /** Loads a model anew when its files or its handler's change. */
  readonly isWatching?: boolean;
}

/** Silent by default; server.ts connects telemetry. */
export interface RepositoryObserver {
  /** A model was loaded anew because its handler had left too many calls behind. */
  recycled?(modelName: string): void;
}

export interface RepositoryDependencies extends Omit<LoadDependencies, 'lease' | 'detect'> {
  readonly createExecutor: CreateExecutor;
  readonly observer?: RepositoryObserver;
  /** Resolves when an engine takes this directory or file for a model, else rejects with ServingError; by default the engines are asked. */
  readonly detect?: (path: string) => Promise<unknown>;
}

/** Models that load at the same time at start. */
const LOADS_AT_ONCE = 4;

/** First and longest pause before a predictor that did not tell what it takes is asked again. */
const ASK_AGAIN_MS = 1000;
const MAX_ASK_AGAIN_MS = 30_000;

/** Pause after an attempt to load a worn out model anew; for that long the one that serves goes on as it is. */
const RECYCLE_AGAIN_MS = 10_000;

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
  readonly #recycleAgainAt = new WeakMap<ModelSlot, number>();
  readonly #askAgainMs = new WeakMap<ModelSlot, number>();
  readonly #closing = new AbortController();
  readonly #watches: FileWatch[] = [];
  #isSingle = false;
  #closed: Promise<void> | undefined;

  constructor(options: RepositoryOptions, deps: RepositoryDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#reader = {
      modelDir: options.modelDir ?? dirname(options.handler?.path ?? ''),
      detect: deps.detect ?? ((path) => detectEngine({ path })),
      takesHandlers: options.handler?.enableModelHandlers === true,
      log: deps.log,
    };
    this.#executors = new ExecutorPool(deps.createExecutor);
  }

  async start(signal: AbortSignal): Promise<void> {
    const { modelName } = this.#options;
    if (modelName !== undefined) checkModelName(modelName);
    const layout = await readServedLayout(this.#options, this.#reader);
    this.#isSingle = layout.kind === 'single';
    for (const location of layout.models) this.#slots.set(location.name, this.#createSlot(location, true));
    for (const slot of this.#slots.values()) await this.#prepare(slot);
    const failures = await this.#loadAll(signal);
    const [first] = failures;
    if (first === undefined || failures.length < this.#slots.size) return;
    await this.close(0);
    const others = failures.length > 1 ? ` (and ${failures.length - 1} more of ${this.#reader.modelDir})` : '';
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
      await slot.load(() => this.#locate(slot));
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
    for (const watch of this.#watches) watch.close();
    await settledWithin(Promise.all([...this.#slots.values()].map((slot) => slot.close(graceMs))), graceMs + CLOSE_MARGIN_MS);
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
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const slot = this.#createSlot(location, false);
    this.#slots.set(name, slot);
    await this.#prepare(slot);
    return slot;
  }

  #createSlot(location: ModelLocation, isWanted: boolean): ModelSlot {
    const { detect } = this.#reader;
    const lease = (spec: PipelineSpec): ReturnType<ExecutorPool['lease']> => this.#executors.lease(this.#purpose(spec));
    const load: SlotHooks['load'] = async (found, version) => {
      const loaded = await loadVersion(found, version, this.#options, { ...this.#deps, detect, lease }, this.#closing.signal);
      if (this.#waitsForPredictor(loaded)) this.#loadAgainLater(slot);
      return loaded;
    };
    const slot = new ModelSlot(location, isWanted, { load, wornOut: (worn) => void this.#recycle(worn) }, this.#deps.log);
    return slot;
  }

  /** Transformers and predictors start side by side: one that did not answer yet, or sleeps, tells what it takes later. v1 never does. */
  #waitsForPredictor({ signature }: ServedModel): boolean {
    const { predictor } = this.#options;
    return signature.isOpen === true && predictor !== undefined && predictor.protocol !== 'v1';
  }

  #loadAgainLater(slot: ModelSlot): void {
    const delayMs = Math.min(2 * (this.#askAgainMs.get(slot) ?? ASK_AGAIN_MS / 2), MAX_ASK_AGAIN_MS);
    this.#askAgainMs.set(slot, delayMs);
    this.#deps.log.info({ model: slot.name, delayMs }, 'The predictor does not tell yet what it takes: the model is loaded anew when it may');
    setTimeout(() => {
      if (this.#closing.signal.aborted || !slot.isWanted) return;
      void this.#loadAnew(slot).then((outcome) => {
        if (outcome === 'failed') this.#loadAgainLater(slot);
      });
    }, delayMs).unref();
  }

  #purpose({ modelName, handler }: PipelineSpec): ExecutorPurpose {
    const { isolation } = this.#options;
    const isProcess = isolation === 'auto' ? this.#slots.size > 1 || handler !== undefined : isolation === 'process';
    if (!isProcess) return { isolation: 'inline' };
    return handler === undefined ? { isolation: 'process', modelName } : { isolation: 'process', modelName, hasHandler: true };
  }

  /** What is there of a model now; one without files stays what it is. */
  async #locate({ name, location }: ModelSlot): Promise<ModelLocation> {
    if (location.isFileless === true) return location;
    const found = await rereadModel(location, this.#reader);
    if (found !== undefined) return found;
    if (this.#options.handler?.path === undefined) throw modelNotFound(name);
    return location;
  }

  /** Says what of a model's directory is left alone, and begins to watch it. */
  async #prepare(slot: ModelSlot): Promise<void> {
    const { location } = slot;
    const { handler, isWatching } = this.#options;
    const found = await findModelHandler(location.versions[0]?.path ?? location.path, location.path);
    if (found !== undefined && handler?.path === undefined && handler?.enableModelHandlers !== true) {
      const message =
        'A handler lies in the model directory and is left alone: code that comes with a model runs with --enable_model_handlers=true only';
      this.#deps.log.info({ model: slot.name, handler: found }, message);
    }
    if (isWatching !== true) return;
    const files = {
      models: location.isFileless === true ? [] : [location.path],
      handlers: [handler?.path ?? (handler?.enableModelHandlers === true ? found : undefined)],
    };
    this.#watches.push(await watchFiles(files, () => this.#reload(slot), this.#deps.log));
  }

  /** After a change on disk. False when it has to be tried again: another load is in progress. */
  async #reload(slot: ModelSlot): Promise<boolean> {
    this.#deps.log.info({ model: slot.name }, 'Files have changed: the model is loaded anew');
    return (await this.#loadAnew(slot)) !== 'busy';
  }

  /** A worn out model says so with each answer: what fails is tried again, not more often than this. */
  async #recycle(slot: ModelSlot): Promise<void> {
    const now = performance.now();
    if (now < (this.#recycleAgainAt.get(slot) ?? 0)) return;
    this.#recycleAgainAt.set(slot, now + RECYCLE_AGAIN_MS);
    this.#deps.log.warn({ model: slot.name }, 'Too many calls of the handler never came to an end: the model is loaded anew');
    if ((await this.#loadAnew(slot)) === 'loaded') this.#deps.observer?.recycled?.(slot.name);
  }

  /** Loads beside what serves, which goes on when that fails. Never rejects; `busy` when another load or unload was in progress. */
  async #loadAnew(slot: ModelSlot): Promise<'loaded' | 'failed' | 'busy'> {
    try {
      await slot.load(() => this.#locate(slot));
      return 'loaded';
    } catch (error) {
      if (isServingError(error) && error.reason === 'conflict') return 'busy';
      if (!this.#closing.signal.aborted) this.#logFailure(slot, error);
      return 'failed';
    }
  }
}
