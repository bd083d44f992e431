import {
  decodeModelInferRequestSteps,
  encodeModelInferResponseSteps,
  encodeStatistics,
  FRAME_HEADER_BYTES,
  peekModelInferRequest,
} from '../../codec/index.ts';
import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { Body, InferRequest } from '../../core/infer.ts';
import { isTaken, liesIn, releaseBuffer } from '../../core/release.ts';
import type { TensorMetadata } from '../../core/metadata.ts';
import { runSteps, runStepsYielding, type Steps } from '../../core/steps.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import { totalByteLength } from '../../core/tensor.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { ask, releaseAnswer } from '../http/index.ts';
import { EMPTY, MODEL_METADATA, MODEL_REFERENCE, READY, SERVER_LIVE, SERVER_METADATA, small, STATISTICS } from './messages.ts';
import { repositoryMethods } from './repository.ts';
import type { IncomingCall, UnaryHandler } from './unary-call.ts';

interface ModelReference {
  readonly name: string;
  readonly version: string;
}

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';

const EXPLAIN_PARAMETER = 'explain';

/** Messages above this are decoded and encoded in slices, so that probes are answered meanwhile. */
const SLICED_BYTES = 1 << 18;

/** The inference service (OIP gRPC) over the dataplane: each method with its handler. */
export function inferenceMethods(dataplane: Dataplane): Record<string, UnaryHandler> {
  return {
    ServerLive: small(EMPTY, SERVER_LIVE, () => ({ live: dataplane.isLive() })),
    ServerReady: small(EMPTY, READY, () => ({ ready: dataplane.isReady() })),
    ModelReady: small(MODEL_REFERENCE, READY, ({ name, version }: ModelReference) => ({ ready: dataplane.isModelReady(name, given(version)) })),
    ServerMetadata: small(EMPTY, SERVER_METADATA, () => dataplane.serverMetadata()),
    ModelMetadata: small(MODEL_REFERENCE, MODEL_METADATA, ({ name, version }: ModelReference) => {
      const metadata = dataplane.modelMetadata(name, given(version));
      return { ...metadata, inputs: metadata.inputs.map(wireMetadata), outputs: metadata.outputs.map(wireMetadata) };
    }),
    // Proto3 knows no absent text: without a name all models are meant, as in Triton.
    ModelStatistics: small(MODEL_REFERENCE, STATISTICS, ({ name, version }: ModelReference) =>
      encodeStatistics(dataplane.statistics(given(name), given(version))),
    ),
    ModelInfer: (message, call) => infer(message, call, dataplane),
    ...repositoryMethods(dataplane),
  };
}

/** The model is looked up before its tensors are decoded: what is unknown or loading costs nothing and is said first. */
async function infer(message: Buffer, call: IncomingCall, dataplane: Dataplane): Promise<Buffer> {
  const head = peekModelInferRequest(message);
  const context = call.context(head.id);
  const model = dataplane.resolve(head.modelName, given(head.modelVersion));
  const isOwn = isTaken(message.buffer);
  const decoding = drive(decodeModelInferRequestSteps(message, isOwn), message.length, call.signal);
  const { request, raw } = decoding instanceof Promise ? await decoding : decoding;
  if (isOwn && !request.inputs.some((input) => liesIn(input, message.buffer))) releaseBuffer(message.buffer);
  const response = await ask(dataplane, isExplain(request) ? 'explain' : 'infer', model, request, context);
  if (response.body !== undefined) throw cannotCarry(response.modelName, response.body);
  call.responseHeaders = response.headers;
  const encoding = drive(
    encodeModelInferResponseSteps(response, { raw, headroom: FRAME_HEADER_BYTES }),
    totalByteLength(response.outputs),
    call.signal,
  );
  const frame = encoding instanceof Promise ? await encoding : encoding;
  releaseAnswer(response, model);
  return frame;
}

/** OIP has no call that explains: the request parameter `explain` says so. Throws invalid_request unless it is a boolean. */
function isExplain({ parameters }: InferRequest): boolean {
  const explain = parameters?.[EXPLAIN_PARAMETER];
  if (explain === undefined || typeof explain === 'boolean') return explain === true;
  throw invalidRequest(
    `Cannot use request parameter "${EXPLAIN_PARAMETER}": expected a boolean, got a ${typeof explain === 'string' ? 'string' : 'number'}`,
  );
}

function cannotCarry(modelName: string, { contentType }: Body): ServingError {
  const got = `a body of "${contentType.slice(0, 100)}"`;
  return new ServingError(
    'unimplemented',
    `Cannot answer over gRPC: model "${modelName}" answered with ${got}, which only HTTP can carry; send the request over HTTP`,
  );
}

function drive<T>(steps: Steps<T>, bytes: number, signal: StopSignal): T | Promise<T> {
  return bytes < SLICED_BYTES ? runSteps(steps) : runStepsYielding(steps, signal);
}

function wireMetadata({ name, datatype, shape }: TensorMetadata): Pick<TensorMetadata, 'name' | 'datatype' | 'shape'> {
  return { name, datatype, shape };
}

/** Proto3 has no absent strings: empty means that the server is to choose. */
function given(version: string): string | undefined {
  return version === '' ? undefined : version;
}
