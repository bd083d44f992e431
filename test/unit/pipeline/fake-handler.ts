import type { Batch, BatchMember, BatchResult } from '../../../src/core/batch.ts';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import type { RowBatching } from '../../../src/pipeline/row-runs.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import type { Signature } from '../../../src/core/metadata.ts';
import type { StopSignal } from '../../../src/core/stop-signal.ts';
import type { ServingError } from '../../../src/core/errors.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { EngineSession } from '../../../src/engine/index.ts';
import { defineHandler, type Handler } from '../../../src/handler/index.ts';
import { loadHandlerPipeline } from '../../../src/pipeline/load-handler-pipeline.ts';
import { sessionModel } from '../../../src/pipeline/next-model.ts';
import type { HandlerSpec, Pipeline } from '../../../src/pipeline/index.ts';

export const SIGNATURE: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1, 2] },
    { name: 'z', datatype: 'FP32', shape: [-1, 2] },
  ],
};

export interface FakeSession extends EngineSession {
  readonly calls: { readonly inputs: readonly Tensor[]; readonly wanted: readonly string[] }[];
  isDisposed: boolean;
}

/** Answers y = -x and z = x, as many as are wanted; `run` stands in for that. */
export function fakeSession(run?: EngineSession['run']): FakeSession {
  const session: FakeSession = {
    calls: [],
    isDisposed: false,
    signature: SIGNATURE,
    platform: 'fake_fakev1',
    properties: { file: 'fake' },
    isConcurrent: true,
    isCancellable: true,
    run: async (inputs, wanted, signal) => {
      session.calls.push({ inputs, wanted });
      if (run !== undefined) return run(inputs, wanted, signal);
      const { shape, data } = inputs[0]!;
      const flip = (sign: number): Float32Array => (data as Float32Array).map((value) => sign * value);
      return (wanted.length === 0 ? ['y', 'z'] : wanted).map((name) => ({ name, datatype: 'FP32', shape, data: flip(name === 'y' ? -1 : 1) }));
    },
    dispose: () => {
      session.isDisposed = true;
      return Promise.resolve();
    },
  };
  return session;
}

export interface FakeOptions extends Partial<HandlerSpec> {
  /** `null`: a handler without a model file. */
  readonly session?: EngineSession | null;
  readonly log?: Logger;
  readonly batching?: RowBatching;
}

const OFF: RowBatching = { mode: 'off', maxBatchSize: 1 };

export function loadFake(handler: Handler, options: FakeOptions = {}): Promise<Pipeline> {
  const { session = fakeSession(), log = SILENT_LOGGER, batching = OFF, ...given } = options;
  const spec: HandlerSpec = { path: '/models/m/handler.ts', concurrency: 4, engineRuns: 2, maxStuck: 1, ...given };
  const model = session === null ? undefined : sessionModel({ modelName: 'm', batching }, session, spec.engineRuns, log);
  const engineOptions = { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } as const;
  return loadHandlerPipeline({ modelName: 'm', modelVersion: '1', engineOptions, handler: spec }, spec, Promise.resolve(model), {
    log,
    handler: defineHandler(handler),
  });
}

export function rows(name: string, ...values: readonly (readonly [number, number])[]): Tensor {
  return { name, datatype: 'FP32', shape: [values.length, 2], data: Float32Array.from(values.flat()) };
}

export interface MemberOptions extends Partial<InferRequest> {
  readonly verb?: BatchMember['verb'];
  readonly signal?: StopSignal;
  readonly deadline?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export function member(options: MemberOptions = {}): BatchMember {
  const { verb = 'infer', signal = new AbortController().signal, deadline = Infinity, headers = {}, ...request } = options;
  return {
    verb,
    request: { modelName: 'm', inputs: [rows('x', [1, 2])], ...request },
    ctx: { id: 'req-1', protocol: 'v2-rest', signal, deadline, headers },
    signal,
  };
}

export function run(pipeline: Pipeline, ...members: readonly BatchMember[]): Promise<BatchResult> {
  return pipeline.run({ members } satisfies Batch);
}

export async function answerOf(pipeline: Pipeline, options: MemberOptions = {}): Promise<InferResponse> {
  const { responses } = await run(pipeline, member(options));
  const [settled] = responses;
  if (settled?.ok !== true) throw settled?.error ?? new Error('no answer');
  return settled.value;
}

export async function errorOf(pipeline: Pipeline, options: MemberOptions = {}): Promise<ServingError> {
  const { responses } = await run(pipeline, member(options));
  const [settled] = responses;
  if (settled?.ok !== false) throw new Error(`answered ${JSON.stringify(settled?.value)}`);
  return settled.error;
}
