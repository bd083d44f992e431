import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { NO_CAPABILITIES, type Signature } from '../../../src/core/metadata.ts';
import type { Executor, ExecutorState, LoadedModel } from '../../../src/executor/index.ts';
import type { PipelineSpec } from '../../../src/pipeline/index.ts';

const SIGNATURE: Signature = { inputs: [], outputs: [] };
const TIMINGS = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };

/** A model whose runs, capacity and end the test decides. */
export class FakeModel implements LoadedModel {
  signature: Signature = SIGNATURE;
  readonly capabilities = NO_CAPABILITIES;
  readonly platform = 'fake_fakev1';
  readonly properties = {};
  readonly spec: PipelineSpec;
  isUnloaded = false;
  readonly #runs: (() => void)[] = [];
  #capacity = 1;
  #listener: () => void = () => undefined;

  constructor(spec: PipelineSpec) {
    this.spec = spec;
  }

  get capacity(): number {
    return this.#capacity;
  }

  set capacity(value: number) {
    this.#capacity = value;
    this.#listener();
  }

  onCapacityChange(listener: () => void): void {
    this.#listener = listener;
  }

  /** Tells that it should be loaded anew. */
  wearOut: () => void = () => undefined;

  onWornOut(listener: () => void): void {
    this.wearOut = listener;
  }

  run({ members }: Batch): Promise<BatchResult> {
    return new Promise((resolve) => {
      this.#runs.push(() => {
        resolve({
          responses: members.map(({ request }) => ({
            ok: true,
            value: { modelName: request.modelName, modelVersion: this.spec.modelVersion, outputs: [] },
          })),
          timings: TIMINGS,
        });
      });
    });
  }

  answerAll(): void {
    for (const answer of this.#runs.splice(0)) answer();
  }

  unload(): Promise<void> {
    this.isUnloaded = true;
    return Promise.resolve();
  }
}

/** Ends one load. */
export interface FakeLoad {
  readonly spec: PipelineSpec;
  readonly instances: number;
  readonly signal: AbortSignal;
  /** `isSilent`: what it takes is not known. */
  succeed(isSilent?: boolean): FakeModel;
  fail(error: Error): void;
}

export class FakeExecutor implements Executor {
  readonly isolation: 'inline' | 'process';
  readonly loads: FakeLoad[] = [];
  state: ExecutorState = 'idle';
  readonly #onLoad: (load: FakeLoad) => void;

  constructor(isolation: 'inline' | 'process', onLoad: (load: FakeLoad) => void) {
    this.isolation = isolation;
    this.#onLoad = onLoad;
  }

  load(spec: PipelineSpec, instances: number, signal: AbortSignal): Promise<LoadedModel> {
    return new Promise((resolve, reject) => {
      const load: FakeLoad = {
        spec,
        instances,
        signal,
        succeed: (isSilent) => {
          const model = new FakeModel(spec);
          if (isSilent === true) model.signature = { isOpen: true, inputs: [], outputs: [] };
          resolve(model);
          return model;
        },
        fail: reject,
      };
      this.loads.push(load);
      this.#onLoad(load);
    });
  }

  stop(): Promise<void> {
    this.state = 'stopped';
    return Promise.resolve();
  }
}

/** Models load side by side, in any order. */
export function sortByModel(purposes: object[], models: FakeModel[], executors: FakeExecutor[]): void {
  const sort = <T>(values: T[], nameOf: (value: T) => string): unknown => values.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  sort(purposes, (purpose) => JSON.stringify(purpose));
  sort(models, ({ spec }) => spec.modelName);
  sort(executors, ({ loads }) => loads[0]?.spec.modelName ?? '');
}
