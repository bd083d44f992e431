import type { ModelIndexEntry, Signature } from '../core/metadata.ts';
import type { Scheduler } from '../scheduler/index.ts';

/** One version of a model that serves. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  readonly signature: Signature;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly scheduler: Scheduler;
  /** False while its process is being replaced; requests are queued then, not refused. */
  readonly isReady: boolean;
}

/** Layouts on disk and what of them is loaded, loading or failed. */
export interface ModelRepository {
  /** Names of configured and loaded models, in the order of registration. */
  names(): readonly string[];
  /** The version asked for, or the newest. Throws model_not_found, or model_not_ready for a model that is loading, failed or unloaded. */
  find(name: string, version?: string): ServedModel;
  isReady(name: string, version?: string): boolean;
  /** True when at least one model is configured and all of them are ready. */
  isAllReady(): boolean;
  index(): readonly ModelIndexEntry[];
  load(name: string): Promise<void>;
  unload(name: string): Promise<void>;
  /** Drains every scheduler, then unloads every model and stops the executors. */
  close(graceMs: number): Promise<void>;
}
