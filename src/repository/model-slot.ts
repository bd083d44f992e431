import type { Logger } from '../core/context.ts';
import { ServingError, modelNotFound, modelNotReady } from '../core/errors.ts';
import type { ModelIndexEntry } from '../core/metadata.ts';
import type { ModelLocation, ModelVersion } from './layout.ts';
import type { LoadedVersion } from './loaded-version.ts';
import type { ServedModel } from './repository.ts';

/** Most time that a replaced or unloaded model gets to answer what it has; KServe's own grace period. */
const RETIRE_GRACE_MS = 30_000;

export interface SlotHooks {
  readonly load: (location: ModelLocation, version: ModelVersion) => Promise<LoadedVersion>;
  /** What serves should be loaded anew. */
  readonly wornOut: (slot: ModelSlot) => void;
  /** What served takes no more requests. */
  readonly retired: (slot: ModelSlot) => void;
}

/** One model: what serves, what is being done to it. At most one operation at a time, and at most two copies in memory. */
export class ModelSlot {
  readonly name: string;
  location: ModelLocation;
  /** Counts for readiness and is listed: configured at start, or loaded on request and not unloaded since. */
  isWanted: boolean;
  #serving: LoadedVersion | undefined;
  #operation: 'load' | 'unload' | undefined;
  /** Why nothing serves; empty before the first load. */
  #reason = '';
  /** Copies that serve no more and still answer what they had taken; none when a load begins, so that no third copy is in memory. */
  readonly #retiring = new Set<LoadedVersion>();
  #isClosed = false;
  readonly #hooks: SlotHooks;
  readonly #log: Logger;

  constructor(location: ModelLocation, isWanted: boolean, hooks: SlotHooks, log: Logger) {
    this.name = location.name;
    this.location = location;
    this.isWanted = isWanted;
    this.#hooks = hooks;
    this.#log = log;
  }

  get isServing(): boolean {
    return this.#serving !== undefined;
  }

  get isReady(): boolean {
    return this.#serving?.isReady === true;
  }

  /**
   * Throws model_not_found for a version that is not the one served, and, as KServe has it, for a model that was unloaded or never came to serve: trying
   * again would not help. Throws model_not_ready when nothing serves yet.
   */
  find(version: string | undefined): ServedModel {
    if (version !== undefined && version !== this.#version) throw modelNotFound(this.name, version);
    if (this.#serving !== undefined) return this.#serving;
    throw this.isWanted || this.#operation !== undefined ? modelNotReady(this.name) : modelNotFound(this.name);
  }

  hasVersion(version: string): boolean {
    return version === this.#version;
  }

  indexEntry(): ModelIndexEntry {
    const entry = { name: this.name, version: this.#version };
    if (this.#serving !== undefined) {
      return this.#serving.isReady
        ? { ...entry, state: 'READY', reason: '' }
        : { ...entry, state: 'UNAVAILABLE', reason: 'its process is being replaced' };
    }
    if (this.#operation === 'load') return { ...entry, state: 'LOADING', reason: 'being loaded' };
    if (this.#operation === 'unload') return { ...entry, state: 'UNLOADING', reason: 'being unloaded' };
    return { ...entry, state: 'UNAVAILABLE', reason: this.#reason === '' ? 'not loaded yet' : this.#reason };
  }

  /**
   * Loads the highest version of `locate()` beside what serves, then lets it take over. Throws conflict, or whatever the load failed with; then what
   * served before goes on.
   */
  async load(locate: () => Promise<ModelLocation>): Promise<void> {
    this.#begin('load');
    const startedAt = performance.now();
    try {
      await this.#retireAll(RETIRE_GRACE_MS);
      const location = await locate();
      const [newest] = location.versions;
      if (newest === undefined) throw modelNotFound(this.name);
      const loaded = await this.#hooks.load(location, newest);
      if (this.#isClosed) {
        await loaded.retire(0);
        throw modelNotReady(this.name);
      }
      const replaced = this.#serving;
      this.location = location;
      this.#serving = loaded;
      loaded.onWornOut(() => {
        if (this.#serving === loaded) this.#hooks.wornOut(this);
      });
      this.isWanted = true;
      this.#reason = '';
      this.#log.info(
        { model: this.name, version: loaded.version, loadMs: Math.round(performance.now() - startedAt), ...loaded.properties },
        'Model loaded',
      );
      if (replaced !== undefined) void this.#retire(replaced);
    } catch (error) {
      this.#reason = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.#operation = undefined;
    }
  }

  /** Throws model_not_found when nothing is loaded, conflict. */
  async unload(): Promise<void> {
    const serving = this.#serving;
    if (serving === undefined && this.#operation === undefined) throw modelNotFound(this.name);
    this.#begin('unload');
    this.#serving = undefined;
    this.isWanted = false;
    this.#reason = 'unloaded';
    try {
      if (serving !== undefined) await this.#retire(serving);
      await this.#retireAll(RETIRE_GRACE_MS);
      this.#log.info({ model: this.name, version: serving?.version }, 'Model unloaded');
    } finally {
      this.#operation = undefined;
    }
  }

  /** The end: what serves and what was replaced goes, within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#serving?.retire(graceMs), this.#retireAll(graceMs)]);
    this.#serving = undefined;
    this.#reason = 'server is shutting down';
  }

  get #version(): string {
    return this.#serving?.version ?? this.location.versions[0]?.version ?? '1';
  }

  #begin(operation: 'load' | 'unload'): void {
    if (this.#operation !== undefined) {
      throw new ServingError('conflict', `Cannot ${operation} model "${this.name}": its ${this.#operation} is in progress`);
    }
    this.#operation = operation;
  }

  /** Never rejects. A replaced copy retires in the background: the next load, an unload and the end wait for it. */
  async #retire(version: LoadedVersion): Promise<void> {
    this.#hooks.retired(this);
    this.#retiring.add(version);
    await version.retire(RETIRE_GRACE_MS);
    this.#retiring.delete(version);
  }

  async #retireAll(graceMs: number): Promise<void> {
    await Promise.all([...this.#retiring].map((version) => version.retire(graceMs)));
  }
}
