import { decodeOpenPredictRequest, decodePredictRequest, encodePredictResponse, formOfAnswer, JSON_CONTENT_TYPE } from '../../codec/index.ts';
import { modelNotReady } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import type { Verb } from '../../core/infer.ts';
import { totalByteLength } from '../../core/tensor.ts';
import { acceptsBody, type Dataplane, type ResolvedModel } from '../../dataplane/index.ts';
import {
  answerEvent,
  ask,
  BODY_ERRORS,
  bodyReply,
  contextOf,
  HANDLER_BODY,
  jsonReply,
  MODEL_ERRORS,
  modelOf,
  readMediaType,
  runCodec,
  tensorReply,
  TIMEOUT_HEADERS,
  type BodyDoc,
  type DocumentedRoute,
  type EventOptions,
  type RouteDoc,
} from '../http/index.ts';

export interface V1Dependencies {
  readonly dataplane: Dataplane;
  /** Deepest nesting of arrays and objects that a JSON body may have. */
  readonly maxJsonDepth: number;
  readonly events: EventOptions;
}

/** Types under which KServe's clients and agents send JSON. */
const ACCEPTED = ['application/json', 'application/ld+json', 'application/octet-stream'] as const;

const EVENT: BodyDoc = {
  contentType: 'application/cloudevents+json',
  description: 'A CloudEvent around one of the others; in binary mode it is headers alone',
};

/** KServe's v1 protocol, which is TensorFlow Serving's REST API without its versions, with CloudEvents and the bodies that handlers accept. */
export function createV1Routes(deps: V1Dependencies): DocumentedRoute[] {
  const { dataplane } = deps;
  return [
    {
      method: 'POST',
      path: '/v1/models/:model\\:predict',
      isBusy: true,
      handle: (call) => answer(call, 'infer', deps),
      doc: verbDoc('v1Predict', 'Run the model', 'PredictResponse'),
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
      handle: (call) => answer(call, 'explain', deps),
      doc: verbDoc('v1Explain', 'Explain a prediction', 'ExplainResponse'),
    },
  ];
}

function answer(call: HttpCall, verb: Verb, { dataplane, events, maxJsonDepth }: V1Dependencies): HttpReply | Promise<HttpReply> {
  const { name } = modelOf(call);
  // Before the body: an unknown or loading model costs no decoding.
  const model = dataplane.resolve(name, undefined, verb);
  return answerEvent(call, name, events, (inner) => {
    const contentType = bodyType(inner, verb, model);
    return contentType === undefined
      ? answerTensors(inner, verb, model, dataplane, maxJsonDepth)
      : answerBody(inner, verb, contentType, model, dataplane);
  });
}

/** The Content-Type of a body that goes to the handler as it is; undefined when the body is tensors. Throws unsupported_media_type. */
function bodyType({ headers }: HttpCall, verb: Verb, { signature, capabilities }: ResolvedModel): string | undefined {
  const contentType = headers['content-type'];
  if (acceptsBody(capabilities.accepts, contentType ?? JSON_CONTENT_TYPE)) return contentType ?? JSON_CONTENT_TYPE;
  readMediaType(contentType, ACCEPTED, JSON_CONTENT_TYPE);
  // Without a signature nobody can tell what the numbers are. Who explains a model from the outside needs tensors all the same.
  const needsTensors = signature.isOpen !== true || (verb === 'explain' && !capabilities.explains);
  return needsTensors ? undefined : JSON_CONTENT_TYPE;
}

async function answerTensors(call: HttpCall, verb: Verb, model: ResolvedModel, dataplane: Dataplane, maxDepth: number): Promise<HttpReply> {
  const ctx = contextOf(call, 'v1-rest');
  const options = { modelName: model.name, signature: model.signature, maxDepth };
  const decode = model.signature.isOpen === true ? decodeOpenPredictRequest : decodePredictRequest;
  const form = await call.useBody((body) => runCodec(decode(body, options), body.byteLength, call.signal));
  const response = await ask(dataplane, verb, model, form.request, ctx);
  if (response.body !== undefined) return bodyReply(response, response.body);
  return tensorReply(response, await runCodec(encodePredictResponse(response, form, verb), totalByteLength(response.outputs), call.signal), model);
}

async function answerBody(call: HttpCall, verb: Verb, contentType: string, model: ResolvedModel, dataplane: Dataplane): Promise<HttpReply> {
  const ctx = contextOf(call, 'v1-rest');
  const body = { contentType, bytes: await call.readBody() };
  const response = await ask(dataplane, verb, model, { modelName: model.name, inputs: [], body }, ctx);
  if (response.body !== undefined) return bodyReply(response, response.body);
  const steps = encodePredictResponse(response, formOfAnswer(response), verb);
  return tensorReply(response, await runCodec(steps, totalByteLength(response.outputs), call.signal), model);
}

function verbDoc(operationId: string, summary: string, schema: string): RouteDoc {
  const doc = modelDoc(operationId, summary, schema);
  return {
    ...doc,
    headers: TIMEOUT_HEADERS,
    request: { isRequired: true, bodies: [...ACCEPTED.map((contentType) => ({ contentType, schema: 'PredictRequest' })), EVENT, HANDLER_BODY] },
    success: { ...doc.success, bodies: [...doc.success.bodies, EVENT, HANDLER_BODY] },
    errors: [...BODY_ERRORS, ...MODEL_ERRORS],
  };
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
