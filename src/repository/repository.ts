import type { Capabilities, ModelIndexEntry, Signature } from '../core/metadata.ts';
import type { Scheduler } from '../scheduler/index.ts';

/** One version of a model that serves. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly scheduler: Scheduler;
  /** False while its process is being replaced; requests are queued then, not refused. */
  readonly isReady: boolean;
}

/** Layouts on disk and what of them is loaded, loading or failed. */
export interface ModelRepository {
  /**
   * Reads the layout and loads every model of it, some at a time. Rejects with ServingError, one line, when there is no model, when the only one cannot be
   * loaded, or when none can; a repository of which some load starts, not ready. `signal` gives up.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Names of configured and loaded models, in the order of registration. */
  names(): readonly string[];
  /**
   * The version asked for, or the newest. Throws model_not_found, for an unloaded model too, or model_not_ready for one that is loading, or was configured and
   * failed; of several versions on disk only the newest is served, the others are not found.
   */
  find(name: string, version?: string): ServedModel;
  /** False for a model that was unloaded. Throws model_not_found. */
  isReady(name: string, version?: string): boolean;
  /** True when at least one model is configured and all of them are ready. A model that was unloaded on request is configured no more. */
  isAllReady(): boolean;
  index(): readonly ModelIndexEntry[];
  /**
   * Loads a model of the repository, or loads it again beside the one that serves, which is drained and freed after the change. Throws model_not_found (nothing
   * of that name on disk), conflict (being loaded or unloaded), model_not_ready (cannot be loaded; the message says why, the old one goes on).
   */
  load(name: string): Promise<void>;
  /** Resolves when what was in flight is answered and the model is freed. Throws model_not_found (not loaded), conflict (being loaded or unloaded). */
  unload(name: string): Promise<void>;
  /** Gives up loads, drains every scheduler, then unloads every model and stops the executors, all within about `graceMs`. Idempotent. */
  close(graceMs: number): Promise<void>;
}
