import {
  BINARY_CONTENT_TYPE,
  decodeInferRequest,
  encodeInferResponse,
  HEADER_LENGTH_HEADER,
  JSON_CONTENT_TYPE,
  parseHeaderLength,
  type DecodeInferOptions,
} from '../../codec/index.ts';
import { invalidRequest } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import type { InferRequest, Verb } from '../../core/infer.ts';
import { liesIn, releaseBuffer } from '../../core/release.ts';
import { totalByteLength } from '../../core/tensor.ts';
import { acceptsBody, mediaTypeOf, type Dataplane, type ResolvedModel } from '../../dataplane/index.ts';
import {
  answerEvent,
  ask,
  BODY_ERRORS,
  bodyReply,
  contextOf,
  eventModeOf,
  HANDLER_BODY,
  MODEL_ERRORS,
  modelOf,
  readMediaType,
  runCodec,
  tensorReply,
  TIMEOUT_HEADERS,
  type DocumentedRoute,
  type HeaderDoc,
} from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';

const LENGTH_HEADER = HEADER_LENGTH_HEADER.toLowerCase();
/** Below the size of bodies that are read into shared storage. */
const MAX_KEPT_BODY_BYTES = (1 << 22) - 1;
const ACCEPTED = [JSON_CONTENT_TYPE, BINARY_CONTENT_TYPE] as const;

/**
 * POST …/infer and …/explain with and without version: OIP "Inference", with the binary tensor data extension, and the same for explanations. Bodies that
 * the model's handler accepts go to it as they are.
 */
export function inferRoutes(deps: V2Dependencies): DocumentedRoute[] {
  const infer = (call: HttpCall): Promise<HttpReply> => answer(call, 'infer', deps);
  const explain = (call: HttpCall): Promise<HttpReply> => answer(call, 'explain', deps);
  const doc = docOf('Run the model', "The model's outputs");
  const explainDoc = docOf('Explain a prediction', 'The explanation');
  return [
    { method: 'POST', path: '/v2/models/:model/infer', isBusy: true, handle: infer, doc: { ...doc, operationId: 'infer' } },
    { method: 'POST', path: '/v2/models/:model/versions/:version/infer', handle: infer, doc: { ...doc, operationId: 'inferVersion' } },
    { method: 'POST', path: '/v2/models/:model/explain', handle: explain, doc: { ...explainDoc, operationId: 'explain' } },
    { method: 'POST', path: '/v2/models/:model/versions/:version/explain', handle: explain, doc: { ...explainDoc, operationId: 'explainVersion' } },
  ];
}

async function answer(call: HttpCall, verb: Verb, deps: V2Dependencies): Promise<HttpReply> {
  const { name, version } = modelOf(call);
  // Before the body: an unknown or loading model costs no decoding.
  const model = deps.dataplane.resolve(name, version, verb);
  if (isHandlerBody(call, model)) return await answerEvent(call, name, deps.events, (inner) => answerBody(inner, verb, model, deps.dataplane));
  const headerLength = readHeaderLength(call);
  const ctx = contextOf(call, 'v2-rest');

  const options = {
    modelName: name,
    maxDepth: deps.maxJsonDepth,
    signature: model.signature,
    ...(version === undefined ? {} : { modelVersion: version }),
    ...(headerLength === undefined ? {} : { headerLength }),
  };
  const request = headerLength === undefined ? await call.useBody((body) => decode(body, options, call)) : await decodeInPlace(call, options);
  const response = await ask(deps.dataplane, verb, model, request, ctx);
  if (response.body !== undefined) return bodyReply(response, response.body);
  const encoding = encodeInferResponse(response, verb === 'infer' ? request : withoutOutputs(request));
  return tensorReply(response, await runCodec(encoding, totalByteLength(response.outputs), call.signal), model);
}

function decode(body: Uint8Array, options: DecodeInferOptions, call: HttpCall): InferRequest | Promise<InferRequest> {
  return runCodec(decodeInferRequest(body, options), body.byteLength, call.signal);
}

/** Raw tensors stay where the body was read to; the largest bodies are read into storage that the next one needs, too. */
async function decodeInPlace(call: HttpCall, options: DecodeInferOptions): Promise<InferRequest> {
  if (!(Number(call.headers['content-length']) <= MAX_KEPT_BODY_BYTES)) return await call.useBody((body) => decode(body, options, call));
  const body = await call.readBody();
  const request = await decode(body, { ...options, mayKeepBody: true }, call);
  if (!request.inputs.some((input) => liesIn(input, body.buffer))) releaseBuffer(body.buffer);
  return request;
}

async function answerBody(call: HttpCall, verb: Verb, model: ResolvedModel, dataplane: Dataplane): Promise<HttpReply> {
  const { name, version } = modelOf(call);
  const ctx = contextOf(call, 'v2-rest');
  const body = { contentType: call.headers['content-type'] ?? JSON_CONTENT_TYPE, bytes: await call.readBody() };
  const request: InferRequest = { modelName: name, ...(version === undefined ? {} : { modelVersion: version }), inputs: [], body };
  const response = await ask(dataplane, verb, model, request, ctx);
  if (response.body !== undefined) return bodyReply(response, response.body);
  return tensorReply(response, await runCodec(encodeInferResponse(response, request), totalByteLength(response.outputs), call.signal), model);
}

/** Requested outputs are the model's, an explanation has its own: only the request as a whole can ask for their binary form. */
function withoutOutputs({ modelName, parameters }: InferRequest): InferRequest {
  return { modelName, inputs: [], ...(parameters === undefined ? {} : { parameters }) };
}

/**
 * Whether the body is the handler's to read: its media type is accepted and it is not tensors behind a header length. A structured CloudEvent is for such
 * handlers alone: its data says what it is.
 */
function isHandlerBody(call: HttpCall, { capabilities: { accepts } }: ResolvedModel): boolean {
  if (accepts.length === 0 || call.headers[LENGTH_HEADER] !== undefined) return false;
  if (eventModeOf(call) === 'structured') return true;
  const contentType = call.headers['content-type'] ?? JSON_CONTENT_TYPE;
  return mediaTypeOf(contentType) !== JSON_CONTENT_TYPE && acceptsBody(accepts, contentType);
}

/** Bytes of JSON before the raw tensors; undefined when the body is JSON alone. */
function readHeaderLength({ headers }: HttpCall): number | undefined {
  const mediaType = readMediaType(headers['content-type'], ACCEPTED, JSON_CONTENT_TYPE);
  const text = headers[LENGTH_HEADER];
  if (text !== undefined) return parseHeaderLength(text);
  if (mediaType !== JSON_CONTENT_TYPE) {
    throw invalidRequest(`Cannot read the body: expected header ${HEADER_LENGTH_HEADER} beside Content-Type ${mediaType}, got none`);
  }
  return undefined;
}

const LENGTH_HEADER_DOC: HeaderDoc = {
  name: HEADER_LENGTH_HEADER,
  description: 'Bytes of JSON before the raw tensors (binary tensor data extension)',
  schema: { type: 'integer', minimum: 0 },
};

function docOf(summary: string, description: string): Omit<DocumentedRoute['doc'], 'operationId'> {
  return {
    summary,
    tag: 'inference',
    headers: [LENGTH_HEADER_DOC, ...TIMEOUT_HEADERS],
    request: {
      isRequired: true,
      bodies: [
        { contentType: JSON_CONTENT_TYPE, schema: 'InferRequest' },
        { contentType: BINARY_CONTENT_TYPE, description: 'JSON as above, then the raw tensors in the order of the inputs' },
        HANDLER_BODY,
      ],
    },
    success: {
      description,
      bodies: [
        { contentType: JSON_CONTENT_TYPE, schema: 'InferResponse' },
        { contentType: BINARY_CONTENT_TYPE, description: 'JSON as above, then the raw tensors in the order of the outputs' },
        HANDLER_BODY,
      ],
      headers: [LENGTH_HEADER_DOC],
    },
    errors: [...BODY_ERRORS, ...MODEL_ERRORS],
  };
}
