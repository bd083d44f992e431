import type { Batch, BatchMember, BatchResult, Settled } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { modelNotReady, toServingError, type ServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import { NO_CAPABILITIES, type Capabilities } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EngineSession } from '../engine/index.ts';
import { checkInputs } from './check-inputs.ts';
import { checkOutputs } from './check-outputs.ts';
import type { Pipeline, PipelineSpec } from './pipeline.ts';
import { RowRuns, type EngineCall, type RowAnswers } from './row-runs.ts';

type Model = Pick<PipelineSpec, 'modelName' | 'modelVersion' | 'batching'>;

/** A pipeline over a loaded session, which it owns from now on. A batch is one run where the rows of its members can share one, else one run after the other. */
export function createPipeline(model: Model, session: EngineSession, log: Logger): Pipeline {
  return new SessionPipeline(model, session, log);
}

/** Files that do not change while they are loaded, and no code but the engine's. */
const COMPUTES: Capabilities = { ...NO_CAPABILITIES, isPure: true };

class SessionPipeline implements Pipeline {
  readonly capabilities = COMPUTES;
  /** What ended the process once would end it again: a native run has no state that a second attempt could find changed. */
  readonly isRetryable = false;
  readonly #model: Model;
  readonly #session: EngineSession;
  readonly #rows: RowRuns;
  /** The end of the last run; a session that is not concurrent takes the next one only then. */
  #turn: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  constructor(model: Model, session: EngineSession, log: Logger) {
    this.#model = model;
    this.#session = session;
    this.#rows = new RowRuns(session, { modelName: model.modelName, batching: model.batching, copiesRows: false }, log);
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
    const [only] = batch.members;
    return batch.members.length === 1 && only !== undefined ? await this.#runOne(only) : await this.#runAll(batch.members);
  }

  dispose(): Promise<void> {
    this.#isDisposed = true;
    this.#rows.stop();
    return this.#session.dispose();
  }

  async #runOne(member: BatchMember): Promise<BatchResult> {
    const start = performance.now();
    const call = this.#prepare(member);
    const prepared = performance.now();
    const settled = !('wanted' in call)
      ? failed(call)
      : await (this.#session.isConcurrent ? this.#rows.runOne(call) : this.#inTurn(() => this.#rows.runOne(call)));
    const predicted = performance.now();
    const responses = [this.#respond(member.request, settled)];
    const timings = { preprocessMs: prepared - start, predictMs: predicted - prepared, postprocessMs: performance.now() - predicted };
    const { maxRows } = this.#rows;
    return maxRows === undefined ? { responses, timings } : { responses, timings, maxRows };
  }

  async #runAll(members: readonly BatchMember[]): Promise<BatchResult> {
    const start = performance.now();
    const prepared = members.map((member) => this.#prepare(member));
    const calls = prepared.filter((call) => 'wanted' in call);
    const preparedAt = performance.now();
    const { answers, executions } = await this.#inTurnUnlessConcurrent(() => this.#rows.run(calls));
    let next = 0;
    const responses = prepared.map((call, i) =>
      this.#respond(members[i]?.request, 'wanted' in call ? (answers[next++] ?? failed(modelNotReady(this.#model.modelName))) : failed(call)),
    );
    let [inputMs, inferMs, outputMs] = [preparedAt - start, 0, 0];
    for (const execution of executions) {
      inputMs += execution.inputMs;
      inferMs += execution.inferMs;
      outputMs += execution.outputMs;
    }
    const { maxRows } = this.#rows;
    return {
      responses,
      timings: { preprocessMs: inputMs, predictMs: inferMs, postprocessMs: outputMs },
      executions,
      ...(maxRows === undefined ? undefined : { maxRows }),
    };
  }

  #inTurnUnlessConcurrent(work: () => Promise<RowAnswers>): Promise<RowAnswers> {
    return this.#session.isConcurrent ? work() : this.#inTurn(work);
  }

  #prepare(member: BatchMember): EngineCall | ServingError {
    if (this.#isDisposed) return modelNotReady(this.#model.modelName);
    const { request, signal } = member;
    try {
      const wanted = checkOutputs(request.outputs, this.#session.signature, this.#model.modelName);
      checkInputs(request.inputs, this.#session.signature, this.#model.modelName);
      return { request, wanted, signal };
    } catch (error) {
      return toServingError(error);
    }
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

const ignore = (): void => undefined;

function failed(error: ServingError): Settled<never> {
  return { ok: false, error };
}
