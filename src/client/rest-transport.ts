import { decodeInferResponse, encodeInferRequest, HEADER_LENGTH_HEADER, parseHeaderLength, type EncodedBody } from '../codec/index.ts';
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
      const body = encodeBody(() => encodeInferRequest(request, { binary: options.isBinary, binaryOutputs: options.isBinary }));
      const reply = await post(`${modelPath(request.modelName, request.modelVersion)}/infer`, body, attempt);
      const { bytes, headers } = succeeded(reply);
      const length = headers[HEADER_LENGTH_HEADER.toLowerCase()];
      try {
        return new InferenceResponse(decodeInferResponse(bytes, typeof length === 'string' ? parseHeaderLength(length) : undefined));
      } catch (thrown) {
        throw invalidResponse(`Cannot read the response of model "${request.modelName}": ${messageOf(thrown)}`, {
          status: reply.status,
          cause: thrown,
        });
      }
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

/** What the codec refuses is a fault of the caller. */
function encodeBody<T>(encode: () => T): T {
  try {
    return encode();
  } catch (thrown) {
    throw invalidCall(messageOf(thrown), thrown);
  }
}

function succeeded(reply: RestReply): RestReply {
  if (reply.status === 200) return reply;
  throw errorFromReply(reply);
}

/**
 * A server that is there but not up answers 503 (KServe), or 400 (the protocol's text); one that is not there answers nothing. Anything else, such as
 * an unknown model or a missing permission, is an error.
 */
async function readHealth(ask: () => Promise<RestReply>, flag: 'live' | 'ready'): Promise<boolean> {
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
