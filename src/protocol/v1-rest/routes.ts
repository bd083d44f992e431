import { decodePredictRequest, encodePredictResponse } from '../../codec/index.ts';
import { ServingError, modelNotReady } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { releaseTensors } from '../../core/release.ts';
import { totalByteLength } from '../../core/tensor.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import {
  BODY_ERRORS,
  contextOf,
  jsonReply,
  modelOf,
  readMediaType,
  runCodec,
  TIMEOUT_HEADERS,
  type DocumentedRoute,
  type RouteDoc,
} from '../http/index.ts';

export interface V1Dependencies {
  readonly dataplane: Dataplane;
  /** Deepest nesting of arrays and objects that a JSON body may have. */
  readonly maxJsonDepth: number;
}

/** Types under which KServe's clients and agents send JSON. */
const ACCEPTED = ['application/json', 'application/ld+json', 'application/octet-stream'] as const;

/** KServe's v1 protocol, which is TensorFlow Serving's REST API without its versions. */
export function createV1Routes({ dataplane, maxJsonDepth }: V1Dependencies): DocumentedRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/models/:model\\:predict',
      isBusy: true,
      handle: (call) => predict(call, dataplane, maxJsonDepth),
      doc: {
        ...modelDoc('v1Predict', 'Run the model', 'PredictResponse'),
        headers: TIMEOUT_HEADERS,
        request: { isRequired: true, bodies: ACCEPTED.map((contentType) => ({ contentType, schema: 'PredictRequest' })) },
        errors: [
          ...BODY_ERRORS,
          'model_not_found',
          'overloaded',
          'cancelled',
          'model_failed',
          'unimplemented',
          'model_not_ready',
          'deadline_exceeded',
        ],
      },
    },
    {
      method: 'GET',
      path: '/v1/models/:model',
      handle(call) {
        const { name } = modelOf(call);
        if (!dataplane.isModelReady(name)) throw modelNotReady(name);
        return jsonReply(200, { name, ready: true });
      },
      doc: modelDoc('v1ModelReady', 'Is the model ready?', 'ModelReady'),
    },
    {
      method: 'GET',
      path: '/v1/models',
      handle: () => jsonReply(200, { models: dataplane.modelNames() }),
      doc: { ...modelDoc('v1Models', 'Names of all models', 'ModelList'), errors: [] },
    },
    {
      method: 'POST',
      path: '/v1/models/:model\\:explain',
      handle(call) {
        dataplane.resolve(modelOf(call).name);
        throw new ServingError('unimplemented', 'Could not find explainer_host.');
      },
      doc: {
        ...modelDoc('v1Explain', 'Explain a prediction', 'PredictResponse'),
        request: { isRequired: false, bodies: ACCEPTED.map((contentType) => ({ contentType, schema: 'PredictRequest' })) },
        errors: ['invalid_request', 'model_not_found', 'unimplemented', 'model_not_ready'],
      },
    },
  ];
}

async function predict(call: HttpCall, dataplane: Dataplane, maxDepth: number): Promise<HttpReply> {
  const { name } = modelOf(call);
  // Before the body: an unknown or loading model costs no decoding.
  const { signature } = dataplane.resolve(name);
  readMediaType(call.headers['content-type'], ACCEPTED, 'application/json');
  const ctx = contextOf(call, 'v1-rest');
  const form = await call.useBody((body) =>
    runCodec(decodePredictRequest(body, { modelName: name, signature, maxDepth }), body.byteLength, call.signal),
  );
  const response = await dataplane.infer(form.request, ctx);
  // An answer means that nothing computes on the inputs any more; after an error something may.
  releaseTensors(form.request.inputs, response.outputs);
  const encoded = await runCodec(encodePredictResponse(response, form), totalByteLength(response.outputs), call.signal);
  return { status: 200, headers: { 'content-type': encoded.contentType }, body: encoded.chunks };
}

function modelDoc(operationId: string, summary: string, schema: string): RouteDoc {
  return {
    operationId,
    summary,
    tag: 'v1',
    success: { description: summary, bodies: [{ contentType: 'application/json', schema }] },
    errors: ['invalid_request', 'model_not_found', 'model_not_ready'],
  };
}
