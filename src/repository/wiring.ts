import type { ModelSource } from '../storage/index.ts';
import type { CreateExecutor } from './executor-pool.ts';
import type { LoadDependencies, LoadOptions } from './loaded-version.ts';

export interface RepositoryOptions extends LoadOptions {
  /** Names the only model; undefined when not given. */
  readonly modelName: string | undefined;
  /** Absolute path of a directory or a file; undefined only with a source, a handler or a predictor elsewhere. */
  readonly modelDir: string | undefined;
  /** `auto`: inline for exactly one model without user code, else a process for each model. */
  readonly isolation: 'auto' | 'inline' | 'process';
  /** Loads a model anew when its files or its handler's change. */
  readonly isWatching?: boolean;
  /** How often to look for a new version; 0 never. */
  readonly pollMs?: number;
}

/** Silent by default; server.ts connects telemetry. */
export interface RepositoryObserver {
  /** A model was loaded anew because its handler had left too many calls behind. */
  recycled?(modelName: string): void;
  /** A new version was found; `failed` leaves the old one. */
  updated?(modelName: string, outcome: 'loaded' | 'failed'): void;
  /** What served takes no more requests: it was replaced or unloaded. */
  retired?(modelName: string): void;
}

export interface RepositoryDependencies extends Omit<LoadDependencies, 'lease' | 'detect'> {
  readonly createExecutor: CreateExecutor;
  readonly observer?: RepositoryObserver;
  /** Where models come from that are not in a model directory. */
  readonly openSource?: () => Promise<ModelSource>;
  /** Resolves when an engine takes this directory or file for a model, else rejects with ServingError; by default the engines are asked. */
  readonly detect?: (path: string) => Promise<unknown>;
}
