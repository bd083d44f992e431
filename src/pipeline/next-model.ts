import type { RequestContext } from '../core/context.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { EngineSession, RemotePredictor } from '../engine/index.ts';
import { checkInputs } from './check-inputs.ts';
import { checkOutputs } from './check-outputs.ts';

/** What answers when a handler calls `next`: an engine here, or a predictor elsewhere. */
export interface NextModel {
  /** Undefined when it is not known. */
  readonly signature: Signature | undefined;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  /** A predictor in another process: it takes bodies, and what it says of a request stands. */
  readonly isElsewhere: boolean;
  /** Runs at once, at most. */
  readonly runs: number;
  /** Throws ServingError invalid_request for tensors that are not of the signature. */
  check(request: InferRequest): void;
  /** Rejects with ServingError. `request` has passed `check`. */
  infer(request: InferRequest, ctx: RequestContext, signal: StopSignal): Promise<InferResponse>;
  dispose(): Promise<void>;
}

/** Owns the session from now on. */
export function sessionModel(session: EngineSession, engineRuns: number): NextModel {
  const { signature } = session;
  return {
    signature,
    isElsewhere: false,
    platform: session.platform,
    properties: session.properties,
    runs: session.isConcurrent ? engineRuns : 1,
    check: (request) => {
      checkInputs(request.inputs, signature, request.modelName);
      checkOutputs(request.outputs, signature, request.modelName);
    },
    infer: async (request, _ctx, signal) => {
      const wanted = request.outputs?.map(({ name }) => name) ?? [];
      return { modelName: request.modelName, outputs: await session.run(request.inputs, wanted, signal) };
    },
    dispose: () => session.dispose(),
  };
}

/** Requests that wait for the network at once, however many the handler takes. */
export const REMOTE_RUNS = 256;

/** Owns the predictor from now on. Asks it for its metadata once; a predictor that does not answer yet is taken as it comes. */
export async function remoteModel(predictor: RemotePredictor): Promise<NextModel> {
  const metadata = await predictor.metadata(AbortSignal.timeout(METADATA_TIMEOUT_MS));
  const signature = metadata === undefined ? undefined : { inputs: metadata.inputs, outputs: metadata.outputs };
  return {
    signature,
    isElsewhere: true,
    platform: metadata?.platform ?? 'kserve-node_remote',
    properties: {},
    runs: REMOTE_RUNS,
    check: (request) => {
      if (signature === undefined || request.body !== undefined) return;
      checkInputs(request.inputs, signature, request.modelName);
      checkOutputs(request.outputs, signature, request.modelName);
    },
    infer: (request, { id, headers, deadline }, signal) => predictor.infer(request, { id, headers, deadline, signal }),
    dispose: () => {
      predictor.close();
      return Promise.resolve();
    },
  };
}

/** Readiness must not wait for a predictor that comes up later. */
const METADATA_TIMEOUT_MS = 2000;
