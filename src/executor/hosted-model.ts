import type { Batch, BatchResult } from '../core/batch.ts';
import { modelNotReady, ServingError } from '../core/errors.ts';
import type { Signature } from '../core/metadata.ts';
import type { PipelineSpec } from '../pipeline/index.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import type { LoadedModel } from './executor.ts';
import { failBatch } from './running-batch.ts';

/** Where a model can run at the moment. */
export interface ModelHost {
  readonly isConcurrent: boolean;
  /** Never rejects. */
  run(batch: Batch): Promise<BatchResult>;
}

/** What does not change while a model is loaded. */
export interface ModelFacts {
  readonly signature: Signature;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** The executor's side of a loaded model: its host comes and goes with the child, its runs are counted. */
export class HostedModel implements LoadedModel {
  readonly spec: PipelineSpec;
  readonly signature: Signature;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly #instances: number;
  readonly #unload: (model: HostedModel) => Promise<void>;
  #host: ModelHost | undefined;
  #isClosed = false;
  #listener: (() => void) | undefined;
  #running = 0;
  #idle: Deferred<undefined> | undefined;
  #unloading: Promise<void> | undefined;

  constructor(spec: PipelineSpec, instances: number, facts: ModelFacts, unload: (model: HostedModel) => Promise<void>) {
    this.spec = spec;
    this.signature = facts.signature;
    this.platform = facts.platform;
    this.properties = facts.properties;
    this.#instances = instances;
    this.#unload = unload;
  }

  get capacity(): number {
    if (this.#host === undefined) return 0;
    return this.#host.isConcurrent ? this.#instances : 1;
  }

  get isUp(): boolean {
    return this.#host !== undefined;
  }

  onCapacityChange(listener: () => void): void {
    this.#listener = listener;
  }

  async run(batch: Batch): Promise<BatchResult> {
    if (this.#isClosed) return failBatch(batch, modelNotReady(this.spec.modelName));
    if (this.#host === undefined) {
      return failBatch(batch, new ServingError('executor_lost', `The process of model "${this.spec.modelName}" is being replaced`));
    }
    this.#running++;
    try {
      return await this.#host.run(batch);
    } finally {
      this.#running--;
      if (this.#running === 0) {
        this.#idle?.resolve(undefined);
        this.#idle = undefined;
      }
    }
  }

  unload(): Promise<void> {
    this.#unloading ??= this.#unload(this);
    return this.#unloading;
  }

  /** Runs go to `host` from now on, or nowhere for the time being. Without effect once closed. */
  moveTo(host: ModelHost | undefined): void {
    if (this.#isClosed) return;
    this.#setHost(host);
  }

  /** Takes no more batches, for good; those in flight go on. */
  close(): void {
    this.#isClosed = true;
    this.#setHost(undefined);
  }

  /** Resolves when no batch is in flight; every batch ends, at the latest with its child. */
  async untilIdle(): Promise<void> {
    if (this.#running === 0) return;
    this.#idle ??= createDeferred<undefined>();
    await this.#idle.promise;
  }

  #setHost(host: ModelHost | undefined): void {
    const before = this.capacity;
    this.#host = host;
    if (this.capacity !== before) this.#listener?.();
  }
}
