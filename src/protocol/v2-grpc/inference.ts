import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { decodeModelInferRequestSteps, encodeModelInferResponseSteps, encodeStatistics, peekModelInferRequest } from '../../codec/index.ts';
import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { Body, InferRequest } from '../../core/infer.ts';
import type { TensorMetadata } from '../../core/metadata.ts';
import { runSteps, runStepsYielding, type Steps } from '../../core/steps.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import { totalByteLength } from '../../core/tensor.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { INFERENCE_SERVICE, type LoadedLibrary } from './library.ts';
import { repositoryHandlers } from './repository.ts';
import { decoded, unary, type IncomingCall, type UnaryDependencies, type UnaryHandler } from './unary.ts';

interface ModelReference {
  readonly name: string;
  readonly version: string;
}

const EXPLAIN_PARAMETER = 'explain';

/** Messages above this are decoded and encoded in slices, so that probes are answered meanwhile. */
const SLICED_BYTES = 1 << 18;

/** The inference service (OIP gRPC) over the dataplane. */
export function inferenceService(library: LoadedLibrary, deps: UnaryDependencies, dataplane: Dataplane): UntypedServiceImplementation {
  const method = (name: string): ReturnType<LoadedLibrary['method']> => library.method(INFERENCE_SERVICE, name);
  const handlers: Record<string, UnaryHandler> = {
    ServerLive: decoded(method('ServerLive'), () => ({ live: dataplane.isLive() })),
    ServerReady: decoded(method('ServerReady'), () => ({ ready: dataplane.isReady() })),
    ModelReady: decoded(method('ModelReady'), ({ name, version }: ModelReference) => ({
      ready: dataplane.isModelReady(name, given(version)),
    })),
    ServerMetadata: decoded(method('ServerMetadata'), () => dataplane.serverMetadata()),
    ModelMetadata: decoded(method('ModelMetadata'), ({ name, version }: ModelReference) => {
      const metadata = dataplane.modelMetadata(name, given(version));
      return { ...metadata, inputs: metadata.inputs.map(wireMetadata), outputs: metadata.outputs.map(wireMetadata) };
    }),
    // Proto3 knows no absent text: without a name all models are meant, as in Triton.
    ModelStatistics: decoded(method('ModelStatistics'), ({ name, version }: ModelReference) =>
      encodeStatistics(dataplane.statistics(given(name), given(version))),
    ),
    ModelInfer: (message, call) => infer(message, call, dataplane),
    ...repositoryHandlers(method, dataplane),
  };
  return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, unary(deps, name, handler)]));
}

/** The model is looked up before its tensors are decoded: what is unknown or loading costs nothing and is said first. */
async function infer(message: Buffer, call: IncomingCall, dataplane: Dataplane): Promise<Buffer> {
  const head = peekModelInferRequest(message);
  const context = call.context(head.id);
  dataplane.resolve(head.modelName, given(head.modelVersion));
  const { request, raw } = await drive(decodeModelInferRequestSteps(message), message.length, call.signal);
  const response = isExplain(request) ? await dataplane.explain(request, context) : await dataplane.infer(request, context);
  if (response.body !== undefined) throw cannotCarry(response.modelName, response.body);
  call.responseHeaders = response.headers;
  return drive(encodeModelInferResponseSteps(response, { raw }), totalByteLength(response.outputs), call.signal);
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
