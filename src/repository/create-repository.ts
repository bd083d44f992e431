import { ServingError, isServingError, modelNotFound, toServingError } from '../core/errors.ts';
import type { ModelIndexEntry } from '../core/metadata.ts';
import { settledWithin } from '../core/settled-within.ts';
import { detectEngine } from '../engine/index.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import { ExecutorPool, purposeOf } from './executor-pool.ts';
import { placeOf, type FetchedModels } from './fetched-models.ts';
import type { FileWatch, WatchedFiles } from './file-watch.ts';
import type { LayoutReader, ModelLocation } from './layout.ts';
import { loadVersion } from './loaded-version.ts';
import { findModelHandler } from './model-handler.ts';
import { ModelPoll, type LoadOutcome } from './model-poll.ts';
import { checkModelName } from './model-name.ts';
import { ModelSlot, type SlotHooks } from './model-slot.ts';
import { reloadOnChange } from './reload-on-change.ts';
import type { ModelRepository, ServedModel } from './repository.ts';
import { ServedFiles, type Which } from './served-files.ts';
import type { RepositoryDependencies, RepositoryOptions } from './wiring.ts';

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
  readonly #detect: LayoutReader['detect'];
  readonly #files: ServedFiles;
  #poll: ModelPoll | undefined;
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
    this.#detect = deps.detect ?? ((path) => detectEngine({ path }));
    const takesHandlers = options.handler?.enableModelHandlers === true;
    this.#files = new ServedFiles(options, { detect: this.#detect, takesHandlers, log: deps.log });
    this.#executors = new ExecutorPool(deps.createExecutor);
  }

  async start(signal: AbortSignal): Promise<void> {
    const { modelName } = this.#options;
    if (modelName !== undefined) checkModelName(modelName);
    await this.#files.open(this.#deps.openSource, AbortSignal.any([signal, this.#closing.signal]));
    this.#pollSource();
    const layout = await this.#files.readLayout();
    this.#isSingle = layout.kind === 'single';
    for (const location of layout.models) this.#createSlot(location, true);
    for (const slot of this.#slots.values()) await this.#prepare(slot);
    await this.#watchArrivals();
    const failures = await this.#loadAll(signal);
    const [first] = failures;
    if (first === undefined || failures.length < this.#slots.size) {
      this.#poll?.start();
      return;
    }
    await this.close(0);
    const place = this.#files.fetched?.uri ?? first.slot.location.path;
    const others = failures.length > 1 ? ` (and ${failures.length - 1} more of ${this.#files.place ?? ''})` : '';
    throw new ServingError(first.error.reason, `Cannot load model "${first.slot.name}" from ${place}: ${first.error.message}${others}`, {
      cause: first.error,
    });
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
    const known = this.#slots.get(name);
    let slot = known;
    try {
      slot ??= await this.#discover(name);
      await this.#load(slot, known === undefined ? 'newest' : 'latest');
    } catch (error) {
      if (isServingError(error) && (error.reason === 'conflict' || error.reason === 'model_not_found')) throw error;
      const { message } = toServingError(error);
      if (slot !== undefined) this.#logFailure(slot, error);
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
    this.#poll?.stop();
    await settledWithin(Promise.all([...this.#slots.values()].map((slot) => slot.close(graceMs))), graceMs + CLOSE_MARGIN_MS);
    await this.#executors.stop(Math.max(0, endsAt - performance.now()));
    await this.#files.close();
  }

  #pollSource(): void {
    const { fetched } = this.#files;
    const { pollMs = 0 } = this.#options;
    if (fetched === undefined || pollMs === 0) return;
    const { log, observer } = this.#deps;
    const fetchFailed = (): void => {
      for (const name of this.names()) observer?.updated?.(name, 'failed');
    };
    this.#poll = new ModelPoll(fetched, pollMs, { loadCurrent: () => this.#loadCurrent(fetched), fetchFailed }, log);
  }

  /** Every wanted model that serves another version than the newest; what was unloaded stays so. */
  async #loadCurrent(fetched: FetchedModels): Promise<LoadOutcome> {
    const { version } = fetched.current;
    let all: LoadOutcome = 'loaded';
    for (const slot of this.#wanted()) {
      if (slot.isServing && slot.location.fetched?.version === version) continue;
      this.#deps.log.info({ model: slot.name, uri: fetched.uri }, 'A new version is in storage: it is loaded beside the one that serves');
      const outcome = await this.#loadAnew(slot, 'newest');
      if (outcome !== 'busy') this.#deps.observer?.updated?.(slot.name, outcome);
      if (all !== 'failed' && outcome !== 'loaded') all = outcome;
    }
    const arrived = await this.#loadArrived();
    return all === 'loaded' ? arrived : all;
  }

  /** Models that came to a repository after it was read. One that cannot be loaded is forgotten, so that the next look finds it anew. Never rejects. */
  async #loadArrived(): Promise<LoadOutcome> {
    let all: LoadOutcome = 'loaded';
    try {
      for (const location of this.#isSingle ? [] : await this.#files.findAll()) {
        if (this.#slots.has(location.name) || this.#isKnown(location)) continue;
        const slot = this.#createSlot(location, false);
        this.#deps.log.info({ model: slot.name, path: location.path }, 'A new model is in the repository: it is loaded');
        const outcome = await this.#loadAnew(slot, 'newest');
        if (outcome === 'loaded') await this.#prepare(slot);
        else if (outcome === 'failed' && !slot.isServing) this.#slots.delete(slot.name);
        if (outcome !== 'busy') this.#deps.observer?.updated?.(slot.name, outcome);
        if (all !== 'failed') all = outcome;
      }
    } catch (error) {
      this.#deps.log.error({ path: this.#files.place, reason: toServingError(error).message }, 'Cannot look for new models: those that serve go on');
      return 'failed';
    }
    return all;
  }

  /** Whether a model is served from there, under whatever name. */
  #isKnown(location: ModelLocation): boolean {
    return [...this.#slots.values()].some((slot) => placeOf(slot.location) === placeOf(location));
  }

  /** Resolves with the models that could not be loaded. */
  async #loadAll(signal: AbortSignal): Promise<LoadFailure[]> {
    const failures: LoadFailure[] = [];
    const waiting = [...this.#slots.values()];
    const work = async (): Promise<void> => {
      for (let slot = waiting.shift(); slot !== undefined; slot = waiting.shift()) {
        const { location } = slot;
        try {
          await this.#files.during(() => slot.load(() => Promise.resolve(location)));
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
    if (this.#isSingle) throw modelNotFound(name);
    await this.#files.takeLatest(this.#closing.signal);
    const location = await this.#files.find(name);
    const known = this.#slots.get(name);
    if (location === undefined || (known === undefined && this.#isKnown(location))) throw modelNotFound(name);
    if (known !== undefined) return known;
    const slot = this.#createSlot(location, false);
    await this.#prepare(slot);
    return slot;
  }

  #createSlot(location: ModelLocation, isWanted: boolean): ModelSlot {
    const detect = this.#detect;
    const lease = (spec: PipelineSpec): ReturnType<ExecutorPool['lease']> =>
      this.#executors.lease(purposeOf(spec, this.#options.isolation, this.#slots.size));
    const load: SlotHooks['load'] = async (found, version) => {
      const loaded = await this.#files.keep(found, version, () =>
        loadVersion(found, version, this.#options, { ...this.#deps, detect, lease }, this.#closing.signal),
      );
      if (this.#waitsForPredictor(loaded)) this.#loadAgainLater(slot);
      return loaded;
    };
    const hooks: SlotHooks = {
      load,
      wornOut: (worn) => void this.#recycle(worn),
      retired: ({ name }) => this.#deps.observer?.retired?.(name),
    };
    const slot = new ModelSlot(location, isWanted, hooks, this.#deps.log);
    this.#slots.set(location.name, slot);
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
      void this.#loadAnew(slot, 'same').then((outcome) => {
        if (outcome === 'failed') this.#loadAgainLater(slot);
      });
    }, delayMs).unref();
  }

  async #load(slot: ModelSlot, which: Which): Promise<void> {
    await this.#files.during(() => slot.load(() => this.#files.locate(slot.location, which, this.#closing.signal)));
  }

  /** Says what of a model's directory is left alone, and begins to watch it. */
  async #prepare(slot: ModelSlot): Promise<void> {
    const { location } = slot;
    const { handler, isWatching, pollMs = 0 } = this.#options;
    const found = await findModelHandler(location.versions[0]?.path ?? location.path, location.path);
    if (found !== undefined && handler?.path === undefined && handler?.enableModelHandlers !== true) {
      const message =
        'A handler lies in the model directory and is left alone: code that comes with a model runs with --enable_model_handlers=true only';
      this.#deps.log.info({ model: slot.name, handler: found }, message);
    }
    const handlers = isWatching === true ? [handler?.path ?? (handler?.enableModelHandlers === true ? found : undefined)] : [];
    const models = location.isFileless === true || location.fetched !== undefined ? [] : [location.path];
    const isPolled = pollMs > 0 && models.length > 0;
    if (isWatching === true) await this.#watch(slot, { models: isPolled ? [] : models, handlers }, 0);
    if (isPolled) await this.#watch(slot, { models, handlers: [] }, pollMs);
  }

  async #watch(slot: ModelSlot, files: WatchedFiles, pollMs: number): Promise<void> {
    const load = async (): Promise<LoadOutcome> => {
      this.#deps.log.info({ model: slot.name }, 'Files have changed: the model is loaded anew');
      const outcome = await this.#loadAnew(slot, 'newest');
      if (pollMs > 0 && outcome !== 'busy') this.#deps.observer?.updated?.(slot.name, outcome);
      return outcome;
    };
    this.#watches.push(await reloadOnChange(files, pollMs, this.#deps.log, load));
  }

  /** Of a directory that is polled; what a URI names is looked at as a whole. */
  async #watchArrivals(): Promise<void> {
    const { pollMs = 0 } = this.#options;
    const { fetched, place } = this.#files;
    if (pollMs === 0 || this.#isSingle || fetched !== undefined || place === undefined) return;
    this.#watches.push(await reloadOnChange({ models: [place], handlers: [] }, pollMs, this.#deps.log, () => this.#loadArrived()));
  }

  /** A worn out model says so with each answer: what fails is tried again, not more often than this. */
  async #recycle(slot: ModelSlot): Promise<void> {
    const now = performance.now();
    if (now < (this.#recycleAgainAt.get(slot) ?? 0)) return;
    this.#recycleAgainAt.set(slot, now + RECYCLE_AGAIN_MS);
    this.#deps.log.warn({ model: slot.name }, 'Too many calls of the handler never came to an end: the model is loaded anew');
    if ((await this.#loadAnew(slot, 'same')) === 'loaded') this.#deps.observer?.recycled?.(slot.name);
  }

  /** Loads beside what serves, which goes on when that fails. Never rejects; `busy` when another load or unload was in progress. */
  async #loadAnew(slot: ModelSlot, which: Which): Promise<LoadOutcome> {
    try {
      await this.#load(slot, which);
      return 'loaded';
    } catch (error) {
      if (isServingError(error) && error.reason === 'conflict') return 'busy';
      if (!this.#closing.signal.aborted) this.#logFailure(slot, error);
      return 'failed';
    }
  }
}
