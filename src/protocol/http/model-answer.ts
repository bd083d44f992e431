import { validateHeaderName, validateHeaderValue } from 'node:http';
import { HEADER_LENGTH_HEADER, type EncodedBody } from '../../codec/index.ts';
import type { RequestContext } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { HttpReply } from '../../core/http.ts';
import type { Body, InferRequest, InferResponse, Verb } from '../../core/infer.ts';
import { releaseOutputs, releaseTensors } from '../../core/release.ts';
import type { Dataplane, ResolvedModel } from '../../dataplane/index.ts';

const LENGTH_HEADER = HEADER_LENGTH_HEADER.toLowerCase();

/** Headers that say how the reply travels: the adapter's alone. */
const TRANSPORT_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
]);

/** Asks the dataplane what the verb says. Takes over the request's inputs, whose memory is given back with the answer. */
export async function ask(
  dataplane: Dataplane,
  verb: Verb,
  model: ResolvedModel,
  request: InferRequest,
  ctx: RequestContext,
): Promise<InferResponse> {
  const response = await (verb === 'infer' ? dataplane.infer(request, ctx) : dataplane.explain(request, ctx));
  // An answer means that nothing computes on the inputs any more; after an error something may, and user code may hold on to what it saw.
  if (model.capabilities.runsUserCode !== true) releaseTensors(request.inputs, response.outputs);
  return response;
}

/** Gives back what `response` lies in, once it is encoded and nobody reads it any more; `model` made it. */
export function releaseAnswer(response: InferResponse, model: ResolvedModel): void {
  if (model.capabilities.runsUserCode !== true && response.isShared !== true) releaseOutputs(response.outputs);
}

/** The reply to a request that `model` answered with tensors, which `encoded` holds. */
export function tensorReply(response: InferResponse, { contentType, headerLength, chunks }: EncodedBody, model: ResolvedModel): HttpReply {
  const { headers, modelName } = response;
  const own: Record<string, string> = { 'content-type': contentType };
  if (headerLength !== undefined) own[LENGTH_HEADER] = String(headerLength);
  const written = (): void => {
    releaseAnswer(response, model);
  };
  return { status: 200, headers: headers === undefined ? own : { ...handlerHeaders(headers, modelName), ...own }, body: chunks, written };
}

/** The reply that is the handler's own body. */
export function bodyReply({ headers = {}, modelName }: InferResponse, body: Body): HttpReply {
  checkHeader('content-type', body.contentType, modelName);
  return { status: 200, headers: { ...handlerHeaders(headers, modelName), 'content-type': body.contentType }, body: [body.bytes] };
}

/** The headers that are the handler's to set. Throws handler_failed for one that HTTP cannot carry. */
function handlerHeaders(headers: Readonly<Record<string, string>>, modelName: string): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (TRANSPORT_HEADERS.has(name)) continue;
    checkHeader(name, value, modelName);
    kept[name] = value;
  }
  return kept;
}

function checkHeader(name: string, value: string, modelName: string): void {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch (cause) {
    const got = JSON.stringify(`${name}: ${value}`.slice(0, 100));
    throw new ServingError('handler_failed', `Cannot answer for model "${modelName}": expected response headers that HTTP can carry, got ${got}`, {
      cause,
    });
  }
}
