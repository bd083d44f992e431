import { decodeInferRequest, encodeInferResponse, HEADER_LENGTH_HEADER, parseHeaderLength } from '../../codec/index.ts';
import { invalidRequest } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { releaseTensors } from '../../core/release.ts';
import { totalByteLength } from '../../core/tensor.ts';
import { contextOf, BODY_ERRORS, modelOf, readMediaType, runCodec, TIMEOUT_HEADERS, type DocumentedRoute, type HeaderDoc } from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';

const LENGTH_HEADER = HEADER_LENGTH_HEADER.toLowerCase();
const ACCEPTED = ['application/json', 'application/octet-stream'] as const;

/** POST …/infer with and without version: OIP "Inference", with the binary tensor data extension. */
export function inferRoutes(deps: V2Dependencies): DocumentedRoute[] {
  const handle = (call: HttpCall): Promise<HttpReply> => infer(call, deps);
  return [
    { method: 'POST', path: '/v2/models/:model/infer', isBusy: true, handle, doc: { ...DOC, operationId: 'infer' } },
    { method: 'POST', path: '/v2/models/:model/versions/:version/infer', handle, doc: { ...DOC, operationId: 'inferVersion' } },
  ];
}

async function infer(call: HttpCall, { dataplane, maxJsonDepth }: V2Dependencies): Promise<HttpReply> {
  const { name, version } = modelOf(call);
  // Before the body: an unknown or loading model costs no decoding.
  const { signature } = dataplane.resolve(name, version);
  const headerLength = readHeaderLength(call);
  const ctx = contextOf(call, 'v2-rest');

  const options = {
    modelName: name,
    maxDepth: maxJsonDepth,
    signature,
    ...(version === undefined ? {} : { modelVersion: version }),
    ...(headerLength === undefined ? {} : { headerLength }),
  };
  const request = await call.useBody((body) => runCodec(decodeInferRequest(body, options), body.byteLength, call.signal));
  const response = await dataplane.infer(request, ctx);
  // An answer means that nothing computes on the inputs any more; after an error something may.
  releaseTensors(request.inputs, response.outputs);
  const encoded = await runCodec(encodeInferResponse(response, request), totalByteLength(response.outputs), call.signal);
  const headers: Record<string, string> = { 'content-type': encoded.contentType };
  if (encoded.headerLength !== undefined) headers[LENGTH_HEADER] = String(encoded.headerLength);
  return { status: 200, headers, body: encoded.chunks };
}

/** Bytes of JSON before the raw tensors; undefined when the body is JSON alone. */
function readHeaderLength({ headers }: HttpCall): number | undefined {
  const mediaType = readMediaType(headers['content-type'], ACCEPTED, 'application/json');
  const text = headers[LENGTH_HEADER];
  if (text !== undefined) return parseHeaderLength(text);
  if (mediaType !== 'application/json') {
    throw invalidRequest(`Cannot read the body: expected header ${HEADER_LENGTH_HEADER} beside Content-Type ${mediaType}, got none`);
  }
  return undefined;
}

const LENGTH_HEADER_DOC: HeaderDoc = {
  name: HEADER_LENGTH_HEADER,
  description: 'Bytes of JSON before the raw tensors (binary tensor data extension)',
  schema: { type: 'integer', minimum: 0 },
};

const DOC: Omit<DocumentedRoute['doc'], 'operationId'> = {
  summary: 'Run the model',
  tag: 'inference',
  headers: [LENGTH_HEADER_DOC, ...TIMEOUT_HEADERS],
  request: {
    isRequired: true,
    bodies: [
      { contentType: 'application/json', schema: 'InferRequest' },
      { contentType: 'application/octet-stream', description: 'JSON as above, then the raw tensors in the order of the inputs' },
    ],
  },
  success: {
    description: "The model's outputs",
    bodies: [
      { contentType: 'application/json', schema: 'InferResponse' },
      { contentType: 'application/octet-stream', description: 'JSON as above, then the raw tensors in the order of the outputs' },
    ],
    headers: [LENGTH_HEADER_DOC],
  },
  errors: [...BODY_ERRORS, 'model_not_found', 'overloaded', 'cancelled', 'model_failed', 'unimplemented', 'model_not_ready', 'deadline_exceeded'],
};
