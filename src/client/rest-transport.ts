import type { IncomingHttpHeaders } from 'node:http';
import { decodeInferResponse, encodeInferRequest, HEADER_LENGTH_HEADER, parseHeaderLength, type EncodedBody } from '../codec/index.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { Attempt, Transport } from './client.ts';
import { InferenceError, invalidCall, invalidResponse, messageOf } from './inference-error.ts';
import { InferenceResponse } from './inference-response.ts';
import { createRestCall, type RestReply } from './rest-call.ts';
import { errorFromReply, parseJson } from './rest-errors.ts';
import { readFlag, readIndex, readModelMetadata, readModelNames, readServerMetadata } from './rest-messages.ts';
import type { TransportOptions } from './transport-options.ts';

const NO_BODY: EncodedBody = { contentType: 'application/json', chunks: [] };

/** The Open Inference Protocol over HTTP/1.1, with the binary tensor data extension where it is wanted. */
export function createRestTransport(options: TransportOptions): Transport {
  const http = createRestCall(options);
  const get = (path: string, attempt: Attempt): Promise<RestReply> => http.send({ method: 'GET', path }, attempt);
  const post = (path: string, body: EncodedBody, attempt: Attempt): Promise<RestReply> => http.send({ method: 'POST', path, body }, attempt);

  return {
    async infer(request, attempt) {
      const body = bodyOf(request, () => encodeInferRequest(request, { binary: options.isBinary, binaryOutputs: options.isBinary }));
      const reply = succeeded(await post(`${modelPath(request.modelName, request.modelVersion)}/infer`, body, withTimeout(attempt)));
      return new InferenceResponse({ ...readAnswer(request, reply), headers: joinHeaders(reply.headers) });
    },
    isLive: (attempt) => readHealth(() => get('/v2/health/live', attempt), 'live'),
    isReady: (attempt) => readHealth(() => get('/v2/health/ready', attempt), 'ready'),
    isModelReady: (model, version, attempt) => readHealth(() => get(`${modelPath(model, version)}/ready`, attempt), 'ready'),
    serverMetadata: async (attempt) => readServerMetadata(parseJson(succeeded(await get('/v2', attempt)))),
    modelMetadata: async (model, version, attempt) => readModelMetadata(parseJson(succeeded(await get(modelPath(model, version), attempt)))),
    models: async (attempt) => readModelNames(parseJson(succeeded(await get('/v2/models', attempt)))),
    async index(readyOnly, attempt) {
      const body = { ...NO_BODY, chunks: [Buffer.from(JSON.stringify({ ready: readyOnly }))] };
      return readIndex(parseJson(succeeded(await post('/v2/repository/index', body, attempt))));
    },
    async loadModel(model, attempt) {
      succeeded(await post(`/v2/repository/models/${encodeURIComponent(model)}/load`, NO_BODY, attempt));
    },
    async unloadModel(model, attempt) {
      succeeded(await post(`/v2/repository/models/${encodeURIComponent(model)}/unload`, NO_BODY, attempt));
    },
    close: () => {
      http.close();
    },
  };
}

function modelPath(model: string, version: string | undefined): string {
  const path = `/v2/models/${encodeURIComponent(model)}`;
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/**
 * Tensors, or a body where the model answers with another media type than the protocol's: an image, say. A page of HTML is a proxy's or a login's and never a model's. JSON that is
 * no response of the protocol is a body only to who sent one.
 */
function readAnswer(request: InferRequest, { bytes, headers, status }: RestReply): InferResponse {
  const { modelName } = request;
  const contentType = headers['content-type'] ?? '';
  const length = headers[HEADER_LENGTH_HEADER.toLowerCase()];
  if (typeof length !== 'string' && contentType !== '' && !/^(application\/json|text\/html)\b/i.test(contentType)) {
    return { modelName, outputs: [], body: { contentType, bytes } };
  }
  try {
    return decodeInferResponse(bytes, typeof length === 'string' ? parseHeaderLength(length) : undefined);
  } catch (thrown) {
    if (request.body !== undefined && typeof length !== 'string' && isJson(bytes)) return { modelName, outputs: [], body: { contentType, bytes } };
    throw invalidResponse(`Cannot read the response of model "${modelName}": ${messageOf(thrown)}`, { status, cause: thrown });
  }
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/** Tells the server how long the answer is of use, as gRPC does by itself. */
export function withTimeout(attempt: Attempt): Attempt {
  return { ...attempt, headers: { 'x-request-timeout-ms': String(Math.max(1, Math.floor(attempt.timeoutMs))), ...attempt.headers } };
}

export function joinHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) joined[name] = typeof value === 'string' ? value : value.join(', ');
  return joined;
}

/** The caller's own body as it is, else the encoded tensors. What the codec refuses is a fault of the caller. */
export function bodyOf({ body }: InferRequest, encode: () => EncodedBody): EncodedBody {
  if (body !== undefined) return { contentType: body.contentType, chunks: [body.bytes] };
  try {
    return encode();
  } catch (thrown) {
    throw invalidCall(messageOf(thrown), thrown);
  }
}

export function succeeded(reply: RestReply): RestReply {
  if (reply.status === 200) return reply;
  throw errorFromReply(reply);
}

/**
 * A server that is there but not up answers 503 (KServe), or 400 (the protocol's text); one that is not there answers nothing. Anything else, such as
 * an unknown model or a missing permission, is an error.
 */
export async function readHealth(ask: () => Promise<RestReply>, flag: 'live' | 'ready'): Promise<boolean> {
  try {
    const reply = await ask();
    if (reply.status === 200) return readFlag(reply, flag);
    if (reply.status === 503 || reply.status === 400) return false;
    throw errorFromReply(reply);
  } catch (thrown) {
    if (thrown instanceof InferenceError && thrown.reason === 'unavailable') return false;
    throw thrown;
  }
}
