import { readFileSync } from 'node:fs';
import {
  decodeInferResponse,
  decodeModelInferResponse,
  decodePredictResponse,
  encodeInferRequest,
  encodeModelInferRequest,
  encodePredictRequest,
  HEADER_LENGTH_HEADER,
  type EncodedBody,
} from '../codec/index.ts';
import { invalidRequest } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import { createRandom } from '../core/random.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import { totalByteLength, type Tensor } from '../core/tensor.ts';
import type { Answer, Wire } from './connection.ts';
import { createGrpcWire, encodeGrpcMessage } from './grpc-wire.ts';
import { createHttpWire, encodeHttpRequest } from './http-wire.ts';
import { makeInputs } from './inputs.ts';
import type { BenchPlan, Protocol } from './plan.ts';

/** What is sent in turn, as bytes for lanes of `wire`. */
export interface Traffic {
  readonly wire: Wire;
  readonly messages: readonly Buffer[];
  /** The tensors of a right answer; undefined when it holds none, as JSON that is nobody's protocol. Throws when it cannot be read. */
  readonly readTensors: (answer: Answer) => readonly Tensor[] | undefined;
}

/** Of all messages together; a large one is sent again and again. */
const MAX_MESSAGES_BYTES = 64 * 2 ** 20;

/** `inputs`: the model's, when messages are to be made from them. Throws ServingError, one line, for what cannot be sent. */
export function createTraffic(url: URL, modelName: string, plan: BenchPlan, inputs: readonly TensorMetadata[] | undefined): Traffic {
  const { target, load } = plan;
  const { protocol } = target;
  const isGrpc = protocol === 'grpc' || protocol === 'grpc-typed';
  const wire = isGrpc ? createGrpcWire(url, load.connections, target.headers) : createHttpWire(url);
  const path = httpPath(url, modelName, target.version, protocol);
  const encode = (request: InferRequest): Buffer => {
    if (isGrpc) return encodeGrpcMessage(encodeModelInferRequest(request, { raw: protocol === 'grpc' }));
    const body = protocol === 'v1' ? encodePredictRequest(request) : encodeInferRequest(request, binaryOptions(protocol));
    return encodeHttpRequest(url, path, { ...headersOf(body), ...target.headers }, body.chunks);
  };
  const messages =
    inputs === undefined
      ? [encodeHttpRequest(url, path, { 'content-type': target.contentType, ...target.headers }, [readRequest(target.request ?? '')])]
      : makeRequests(inputs, modelName, plan).map(encode);
  return { wire, messages, readTensors: (answer) => decodeAnswer(protocol, answer) };
}

function readRequest(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalidRequest(`Cannot read --request ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function makeRequests(inputs: readonly TensorMetadata[], modelName: string, { target }: BenchPlan): readonly InferRequest[] {
  const random = createRandom(target.seed);
  const requests: InferRequest[] = [];
  let bytes = 0;
  while (requests.length < target.samples && (requests.length === 0 || bytes < MAX_MESSAGES_BYTES)) {
    const tensors = makeInputs(inputs, target.shapes, random);
    requests.push({ modelName, inputs: tensors, ...(target.version === undefined ? {} : { modelVersion: target.version }) });
    bytes += totalByteLength(tensors);
  }
  return requests;
}

function httpPath(url: URL, model: string, version: string | undefined, protocol: Protocol): string {
  if (protocol === 'http') return url.pathname + url.search;
  const base = url.pathname.replace(/\/+$/, '');
  const name = encodeURIComponent(model);
  if (protocol === 'v1') return `${base}/v1/models/${name}:predict`;
  return `${base}/v2/models/${name}${version === undefined ? '' : `/versions/${encodeURIComponent(version)}`}/infer`;
}

function binaryOptions(protocol: Protocol): { readonly binary: boolean; readonly binaryOutputs: boolean } {
  const isBinary = protocol === 'rest-binary';
  return { binary: isBinary, binaryOutputs: isBinary };
}

function headersOf({ contentType, headerLength }: EncodedBody): Record<string, string | number> {
  return { 'content-type': contentType, ...(headerLength === undefined ? {} : { [HEADER_LENGTH_HEADER]: headerLength }) };
}

const NO_BODY = Buffer.alloc(0);

function decodeAnswer(protocol: Protocol, { body = NO_BODY, headerLength }: Answer): readonly Tensor[] | undefined {
  switch (protocol) {
    case 'rest':
    case 'rest-binary':
      return decodeInferResponse(body, headerLength).outputs;
    case 'grpc':
    case 'grpc-typed':
      return decodeModelInferResponse(body).outputs;
    case 'v1':
      return decodePredictResponse(body);
    case 'http':
      return undefined;
    default:
      return protocol satisfies never;
  }
}
