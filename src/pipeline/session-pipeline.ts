import type { Batch, BatchMember, BatchResult, Settled } from '../core/batch.ts';
import { modelNotReady, ServingError, toServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import { NO_CAPABILITIES, type Capabilities } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EngineSession } from '../engine/index.ts';
import { checkInputs } from './check-inputs.ts';
import { checkOutputs } from './check-outputs.ts';
import type { Pipeline, PipelineSpec } from './pipeline.ts';

type Identity = Pick<PipelineSpec, 'modelName' | 'modelVersion'>;

/** A pipeline over a loaded session, which it owns from now on. Members run side by side when the session can, else one after the other. */
export function createPipeline(model: Identity, session: EngineSession): Pipeline {
  return new SessionPipeline(model, session);
}

/** Files that do not change while they are loaded, and no code but the engine's. */
const COMPUTES: Capabilities = { ...NO_CAPABILITIES, isPure: true };

class SessionPipeline implements Pipeline {
  readonly capabilities = COMPUTES;
  /** What ended the process once would end it again: a native run has no state that a second attempt could find changed. */
  readonly isRetryable = false;
  readonly #model: Identity;
  readonly #session: EngineSession;
  /** The end of the last run; a session that is not concurrent takes the next one only then. */
  #turn: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  constructor(model: Identity, session: EngineSession) {
    this.#model = model;
    this.#session = session;
  }

  get signature(): Pipeline['signature'] {
    return this.#session.signature;
  }

  get platform(): string {
    return this.#session.platform;
  }

  get properties(): Readonly<Record<string, string>> {
    return this.#session.properties;
  }

  get isConcurrent(): boolean {
    return this.#session.isConcurrent;
  }

  async run(batch: Batch): Promise<BatchResult> {
    const start = performance.now();
    const jobs = batch.members.map((member) => this.#prepare(member));
    const prepared = performance.now();
    const outputs = this.#session.isConcurrent
      ? await Promise.all(jobs.map((job) => this.#predict(job)))
      : await this.#inTurn(() => this.#predictOneByOne(jobs));
    const predicted = performance.now();
    const responses = outputs.map((settled, i) => this.#respond(batch.members[i]?.request, settled));
    return {
      responses,
      timings: { preprocessMs: prepared - start, predictMs: predicted - prepared, postprocessMs: performance.now() - predicted },
    };
  }

  dispose(): Promise<void> {
    this.#isDisposed = true;
    return this.#session.dispose();
  }

  #prepare(member: BatchMember): PreparedMember | ServingError {
    try {
      const wanted = checkOutputs(member.request.outputs, this.#session.signature, this.#model.modelName);
      checkInputs(member.request.inputs, this.#session.signature, this.#model.modelName);
      return { member, wanted };
    } catch (error) {
      return toServingError(error);
    }
  }

  async #predict(job: PreparedMember | ServingError): Promise<Settled<readonly Tensor[]>> {
    if (!('member' in job)) return { ok: false, error: job };
    const { member, wanted } = job;
    if (member.signal.aborted) return { ok: false, error: cancelledBeforeRun(this.#model.modelName) };
    if (this.#isDisposed) return { ok: false, error: modelNotReady(this.#model.modelName) };
    try {
      return { ok: true, value: await this.#session.run(member.request.inputs, wanted, member.signal) };
    } catch (error) {
      return { ok: false, error: toServingError(error, 'model_failed', `Model "${this.#model.modelName}" failed while running`) };
    }
  }

  async #predictOneByOne(jobs: readonly (PreparedMember | ServingError)[]): Promise<readonly Settled<readonly Tensor[]>[]> {
    const outputs: Settled<readonly Tensor[]>[] = [];
    for (const job of jobs) {
      // Such a session blocks the event loop: between two members, cancellations that arrived meanwhile must be heard.
      if (outputs.length > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      outputs.push(await this.#predict(job));
    }
    return outputs;
  }

  /** `work` starts when the work before it has ended; it never rejects. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.then(ignore);
    return result;
  }

  #respond(request: InferRequest | undefined, settled: Settled<readonly Tensor[]>): Settled<InferResponse> {
    if (!settled.ok) return settled;
    const { modelName, modelVersion } = this.#model;
    const outputs = settled.value;
    return {
      ok: true,
      value: request?.id === undefined ? { modelName, modelVersion, outputs } : { modelName, modelVersion, id: request.id, outputs },
    };
  }
}

interface PreparedMember {
  readonly member: BatchMember;
  /** Names of outputs; empty means all. */
  readonly wanted: readonly string[];
}

const ignore = (): void => undefined;

function cancelledBeforeRun(modelName: string): ServingError {
  return new ServingError('cancelled', `Cancelled before model "${modelName}" ran`);
}
