import type { Batch, BatchMember, BatchResult } from '../core/batch.ts';
import { modelNotReady, ServingError } from '../core/errors.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { Pipeline, PipelineSpec } from '../pipeline/index.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import type { ColdModel, LoadedModel } from './executor.ts';
import { failBatch, type HostResult } from './running-batch.ts';

/** Where a model can run at the moment. */
export interface ModelHost {
  readonly isConcurrent: boolean;
  /** As `Pipeline.concurrency`. */
  readonly concurrency: number | undefined;
  /** Never rejects. */
  run(batch: Batch): Promise<HostResult>;
}

/** What does not change while a model is loaded. */
export type ModelFacts = Pick<Pipeline, 'signature' | 'capabilities' | 'platform' | 'properties' | 'isRetryable'>;

/**
 * The executor's side of a loaded model: its host comes and goes with the child, its runs are counted. What was lost with a child runs once more, one member at
 * a time and with no other run of the model beside it: whoever takes the child along a second time takes nobody else with it.
 */
export class HostedModel implements LoadedModel {
  readonly spec: PipelineSpec;
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly #isRetryable: boolean;
  readonly #instances: number;
  readonly #unload: (model: HostedModel) => Promise<void>;
  #host: ModelHost | undefined;
  #isClosed = false;
  #listener: (() => void) | undefined;
  #wornOut: (() => void) | undefined;
  #warmUp: ((replacement: ColdModel) => Promise<void>) | undefined;
  /** Batches taken and not settled. */
  #running = 0;
  /** Of these, the runs that a host has at the moment; the others wait to be repeated. */
  #hosted = 0;
  #idle: Deferred<undefined> | undefined;
  #unloading: Promise<void> | undefined;
  /** Members to be repeated; while there are any, nothing else starts. */
  #repeating = 0;
  /** The end of the last repetition in the row; never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Raised when those who wait to be repeated are to give up. */
  #generation = 0;
  #change: Deferred<undefined> | undefined;

  constructor(spec: PipelineSpec, instances: number, facts: ModelFacts, unload: (model: HostedModel) => Promise<void>) {
    this.spec = spec;
    this.signature = facts.signature;
    this.capabilities = facts.capabilities;
    this.platform = facts.platform;
    this.properties = facts.properties;
    this.#isRetryable = facts.isRetryable;
    this.#instances = instances;
    this.#unload = unload;
  }

  get capacity(): number {
    const host = this.#host;
    return host === undefined || this.#repeating > 0 ? 0 : this.#capacityOf(host);
  }

  get isUp(): boolean {
    return this.#host !== undefined;
  }

  onCapacityChange(listener: () => void): void {
    this.#listener = listener;
  }

  onWornOut(listener: () => void): void {
    this.#wornOut = listener;
  }

  onReplacement(warmUp: (replacement: ColdModel) => Promise<void>): void {
    this.#warmUp = warmUp;
  }

  /** Before the model moves to `host`, which takes the place of one that was lost. Rejects as the listener does. */
  async warmUp(host: ModelHost): Promise<void> {
    const { signature, capabilities } = this;
    await this.#warmUp?.({ signature, capabilities, capacity: this.#capacityOf(host), run: (batch) => host.run(batch) });
  }

  async run(batch: Batch): Promise<BatchResult> {
    if (this.#isClosed) return failBatch(batch, modelNotReady(this.spec.modelName));
    if (this.#host === undefined) {
      return failBatch(batch, new ServingError('executor_lost', `The process of model "${this.spec.modelName}" is being replaced`));
    }
    this.#running++;
    try {
      const result = await this.#runOn(this.#host, batch);
      return result.isLost === true && this.#isRetryable ? await this.#repeatLost(batch, result) : result;
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

  /** There will be no host soon: what waits to be repeated settles with the loss it had. */
  giveUpRepeating(): void {
    this.#generation++;
    this.#signalChange();
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

  async #runOn(host: ModelHost, batch: Batch): Promise<HostResult> {
    this.#hosted++;
    try {
      const result = await host.run(batch);
      if (result.isWornOut === true) this.#wornOut?.();
      return result;
    } finally {
      this.#hosted--;
      if (this.#hosted === 0) this.#signalChange();
    }
  }

  /** Members that were given up are not repeated: one of them may be why the process was lost. */
  async #repeatLost(batch: Batch, lost: HostResult): Promise<BatchResult> {
    const now = performance.now();
    const repeated = batch.members.map(async (member, i) => {
      if (member.signal.aborted || member.ctx.deadline <= now) return undefined;
      return await this.#repeat(member, { ...lost, responses: lost.responses.slice(i, i + 1) });
    });
    const results = await Promise.all(repeated);
    const last = results.findLast((result) => result !== undefined);
    return {
      responses: lost.responses.map((response, i) => results[i]?.responses[0] ?? response),
      timings: last?.timings ?? lost.timings,
      measurements: results.flatMap((result) => result?.measurements ?? []),
    };
  }

  #repeat(member: BatchMember, lost: HostResult): Promise<BatchResult> {
    const generation = this.#generation;
    this.#countRepeating(1);
    const result = this.#turn.then(async () => {
      const host = await this.#untilAlone(member.signal, generation);
      return host === undefined ? lost : await this.#runOn(host, { members: [member] });
    });
    this.#turn = result.then(() => {
      this.#countRepeating(-1);
    });
    return result;
  }

  /** A host that runs nothing; undefined when there is no use in waiting for one. */
  async #untilAlone(signal: StopSignal, generation: number): Promise<ModelHost | undefined> {
    const wake = (): void => {
      this.#signalChange();
    };
    signal.addEventListener('abort', wake);
    try {
      while (!this.#isClosed && !signal.aborted && generation === this.#generation) {
        if (this.#host !== undefined && this.#hosted === 0) return this.#host;
        this.#change ??= createDeferred<undefined>();
        await this.#change.promise;
      }
      return undefined;
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  #capacityOf(host: ModelHost): number {
    return host.concurrency ?? (host.isConcurrent ? this.#instances : 1);
  }

  #signalChange(): void {
    this.#change?.resolve(undefined);
    this.#change = undefined;
  }

  #countRepeating(by: number): void {
    const before = this.capacity;
    this.#repeating += by;
    if (this.capacity !== before) this.#listener?.();
  }

  #setHost(host: ModelHost | undefined): void {
    const before = this.capacity;
    this.#host = host;
    this.#signalChange();
    if (this.capacity !== before) this.#listener?.();
  }
}
