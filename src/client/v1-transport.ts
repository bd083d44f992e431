import { decodePredictResponse, encodePredictRequest } from '../codec/index.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { Transport } from './client.ts';
import { InferenceError, invalidResponse, messageOf } from './inference-error.ts';
import { InferenceResponse } from './inference-response.ts';
import { createRestCall, type RestReply } from './rest-call.ts';
import { errorFromReply, parseJson } from './rest-errors.ts';
import { readModelNames } from './rest-messages.ts';
import { bodyOf, joinHeaders, readHealth, succeeded, withTimeout } from './rest-transport.ts';
import type { TransportOptions } from './transport-options.ts';

/** KServe's v1 protocol over HTTP/1.1. It has no versions of models, no metadata and no repository. */
export function createV1Transport(options: TransportOptions): Transport {
  const http = createRestCall(options);

  return {
    async infer(request, attempt) {
      const body = bodyOf(request, () => encodePredictRequest(request));
      const path = `/v1/models/${encodeURIComponent(request.modelName)}:predict`;
      const reply = succeeded(await http.send({ method: 'POST', path, body }, withTimeout(attempt)));
      return new InferenceResponse({ ...readAnswer(request, reply), headers: joinHeaders(reply.headers) });
    },
    // Its servers answer at their root when they live, and have no word for being ready but each model's.
    isLive: (attempt) => readHealth(async () => withoutBody(await http.send({ method: 'GET', path: '/' }, attempt)), 'live'),
    isReady: (attempt) => readHealth(async () => withoutBody(await http.send({ method: 'GET', path: '/' }, attempt)), 'ready'),
    async isModelReady(model, _version, attempt) {
      try {
        const reply = await http.send({ method: 'GET', path: `/v1/models/${encodeURIComponent(model)}` }, attempt);
        if (reply.status === 503) return false;
        if (reply.status !== 200) throw errorFromReply(reply);
        return saysReady(parseJson(reply));
      } catch (thrown) {
        if (thrown instanceof InferenceError && thrown.reason === 'unavailable') return false;
        throw thrown;
      }
    },
    models: async (attempt) => readModelNames(parseJson(succeeded(await http.send({ method: 'GET', path: '/v1/models' }, attempt)))),
    serverMetadata: () => Promise.reject(unknownTo('server metadata')),
    modelMetadata: () => Promise.reject(unknownTo('model metadata')),
    index: () => Promise.reject(unknownTo('a repository')),
    loadModel: () => Promise.reject(unknownTo('a repository')),
    unloadModel: () => Promise.reject(unknownTo('a repository')),
    close: () => {
      http.close();
    },
  };
}

/** Tensors are answered to tensors where they can be; everything else, and every answer to a body, is a body itself. */
function readAnswer(request: InferRequest, { bytes, headers, status }: RestReply): InferResponse {
  const { modelName } = request;
  const contentType = headers['content-type'] ?? '';
  const isJson = contentType === '' || /^application\/json\b/i.test(contentType);
  if (!isJson && !/^text\/html\b/i.test(contentType)) return { modelName, outputs: [], body: { contentType, bytes } };
  const wanted = request.outputs?.length === 1 ? request.outputs[0]?.name : undefined;
  try {
    const outputs = decodePredictResponse(bytes, wanted);
    if (outputs !== undefined && request.body === undefined) return { modelName, outputs };
  } catch (thrown) {
    throw invalidResponse(`Cannot read the response of model "${modelName}": ${messageOf(thrown)}`, { status, cause: thrown });
  }
  return { modelName, outputs: [], body: { contentType: contentType === '' ? 'application/json' : contentType, bytes } };
}

/** The status alone counts: what stands at the root is each server's own. */
function withoutBody(reply: RestReply): RestReply {
  return { ...reply, bytes: reply.bytes.subarray(0, 0) };
}

/** KServe's servers say `{"name": …, "ready": true}`, older ones "True"; TensorFlow Serving tells of versions only, and answers 200 when there is one. */
function saysReady(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || !('ready' in body)) return true;
  return body.ready === true || String(body.ready).toLowerCase() === 'true';
}

function unknownTo(what: string): InferenceError {
  return new InferenceError('unimplemented', `Cannot ask for ${what}: the v1 protocol has none`);
}
