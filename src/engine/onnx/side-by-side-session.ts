import { readdir, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { Logger } from '../../core/context.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import type { Tensor } from '../../core/tensor.ts';
import type { EngineSession } from '../engine.ts';
import { disposed } from './run-checks.ts';

/** Runs beside another that took at least `LONG_MS` before the second session is worth its memory. */
const LONG_RUNS = 4;
/** Shorter runs end before threads could get into each other's way. */
const LONG_MS = 3;

/** Files of a model that are loaded twice take up to this share of the memory there is. */
const MEMORY_SHARE = 1 / 16;

/**
 * A model loaded twice: a lone run has all threads, one that starts beside another has its share of them. Runs that split each operator over the same threads
 * spend a tenth of the processors on waiting for each other; runs on threads of their own do not. The second session is loaded when runs go on side by side for the first
 * few times; until then, and when that fails, all have the first. Owns both.
 */
export class SideBySideSession implements EngineSession {
  readonly signature: EngineSession['signature'];
  readonly platform: string;
  readonly properties: EngineSession['properties'];
  readonly isConcurrent = true;
  readonly isCancellable: boolean;
  readonly #lone: EngineSession;
  readonly #loadBeside: () => Promise<EngineSession>;
  readonly #log: Logger;
  #beside: EngineSession | undefined;
  #loading: Promise<void> | undefined;
  #running = 0;
  #untilLoad = LONG_RUNS;
  #isDisposed = false;

  constructor(lone: EngineSession, loadBeside: () => Promise<EngineSession>, log: Logger) {
    this.signature = lone.signature;
    this.platform = lone.platform;
    this.properties = lone.properties;
    this.isCancellable = lone.isCancellable;
    this.#lone = lone;
    this.#loadBeside = loadBeside;
    this.#log = log;
  }

  async run(inputs: readonly Tensor[], wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]> {
    if (this.#isDisposed) throw disposed();
    const isBeside = this.#running++ > 0;
    try {
      if (!isBeside) return await this.#lone.run(inputs, wanted, signal);
      return await (this.#beside?.run(inputs, wanted, signal) ?? this.#runTimed(inputs, wanted, signal));
    } finally {
      this.#running--;
    }
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    await Promise.all([this.#lone.dispose(), this.#loading]);
    await this.#beside?.dispose();
  }

  async #runTimed(inputs: readonly Tensor[], wanted: readonly string[], signal: StopSignal | undefined): Promise<readonly Tensor[]> {
    const startedAt = performance.now();
    const outputs = await this.#lone.run(inputs, wanted, signal);
    if (performance.now() - startedAt >= LONG_MS && --this.#untilLoad === 0 && !this.#isDisposed) this.#loading = this.#load();
    return outputs;
  }

  /** Never rejects. */
  async #load(): Promise<void> {
    try {
      this.#beside = await this.#loadBeside();
    } catch (error) {
      this.#log.debug({ err: error }, 'Runs side by side share their threads: the model cannot be loaded a second time');
    }
  }
}

/** Whether a model may lie in memory twice. Weights outside of its file lie in the same folder, so that all files there count. */
export async function fitsTwice(file: string): Promise<boolean> {
  const folder = dirname(file);
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isFile()) bytes += (await stat(join(folder, entry.name))).size;
  // 0 where nothing is known of a limit.
  const limit = process.constrainedMemory() || Infinity;
  return bytes <= Math.min(limit, totalmem()) * MEMORY_SHARE;
}
