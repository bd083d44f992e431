import type { Execution } from '../core/batch.ts';
import type { Logger, RequestContext } from '../core/context.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { EngineSession, RemotePredictor } from '../engine/index.ts';
import { checkInputs } from './check-inputs.ts';
import { checkOutputs } from './check-outputs.ts';
import { EngineGate } from './engine-gate.ts';
import { NextGate } from './next-gate.ts';
import { RowRuns, type RowRunsOptions } from './row-runs.ts';

/** What answers when a handler calls `next`: an engine here, or a predictor elsewhere. */
export interface NextModel {
  /** Undefined when it is not known. */
  readonly signature: Signature | undefined;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  /** A predictor in another process: it takes bodies, and what it says of a request stands. */
  readonly isElsewhere: boolean;
  /** Throws ServingError invalid_request for tensors that are not of the signature. */
  check(request: InferRequest): void;
  /** Rejects with ServingError. `request` has passed `check`; it waits its turn as long as nobody else does more than the model takes at once. */
  infer(request: InferRequest, ctx: RequestContext, signal: StopSignal): Promise<InferResponse>;
  /** Runs of the engine since the last call; absent where there is no engine. */
  takeExecutions?(): readonly Execution[];
  dispose(): Promise<void>;
}

/** Owns the session from now on. Calls that wait their turn share runs where their rows can. */
export function sessionModel(
  { modelName, batching }: Pick<RowRunsOptions, 'modelName' | 'batching'>,
  session: EngineSession,
  engineRuns: number,
  log: Logger,
): NextModel {
  const { signature } = session;
  const rows = new RowRuns(session, { modelName, batching, copiesRows: true }, log);
  const gate = new EngineGate(rows, session.isConcurrent ? engineRuns : 1);
  return {
    signature,
    isElsewhere: false,
    platform: session.platform,
    properties: session.properties,
    check: (request) => {
      checkInputs(request.inputs, signature, request.modelName);
      checkOutputs(request.outputs, signature, request.modelName);
    },
    infer: async (request, _ctx, signal) => {
      const wanted = request.outputs?.map(({ name }) => name) ?? [];
      return { modelName: request.modelName, outputs: await gate.run({ request, wanted, signal }) };
    },
    takeExecutions: () => gate.takeExecutions(),
    dispose: () => {
      rows.stop();
      return session.dispose();
    },
  };
}

/** Requests that wait for the network at once, however many the handler takes. */
export const REMOTE_RUNS = 256;

/** Owns the predictor from now on. Asks it for its metadata once; a predictor that does not answer yet is taken as it comes. */
export async function remoteModel(predictor: RemotePredictor): Promise<NextModel> {
  const metadata = await predictor.metadata(AbortSignal.timeout(METADATA_TIMEOUT_MS));
  const signature = metadata === undefined ? undefined : { inputs: metadata.inputs, outputs: metadata.outputs };
  const gate = new NextGate(REMOTE_RUNS);
  return {
    signature,
    isElsewhere: true,
    platform: metadata?.platform ?? 'kserve-node_remote',
    properties: {},
    check: (request) => {
      if (signature === undefined || request.body !== undefined) return;
      checkInputs(request.inputs, signature, request.modelName);
      checkOutputs(request.outputs, signature, request.modelName);
    },
    infer: (request, { id, headers, deadline }, signal) => gate.run(signal, () => predictor.infer(request, { id, headers, deadline, signal })),
    dispose: () => {
      predictor.close();
      return Promise.resolve();
    },
  };
}

/** Readiness must not wait for a predictor that comes up later. */
const METADATA_TIMEOUT_MS = 2000;
