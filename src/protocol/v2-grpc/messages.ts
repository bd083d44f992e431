import { decodeMessage, encodeMessage, FRAME_HEADER_BYTES, type MessageSchema } from '../../codec/index.ts';
import type { IncomingCall, UnaryHandler } from './unary-call.ts';

/** A handler of small messages, which is all but tensors. What it takes is what the request's schema says. */
export function small(request: MessageSchema, response: MessageSchema, handle: (request: never) => object | Promise<object>): UnaryHandler {
  return async (message, call) => encodeFrame(response, await handle(decodeRequest(request, message, call) as never));
}

/** Throws invalid_request. */
export function decodeRequest(schema: MessageSchema, message: Buffer, { path }: Pick<IncomingCall, 'path'>): object {
  return decodeMessage(schema, message, `request of ${path}`);
}

export function encodeFrame(schema: MessageSchema, value: object): Buffer {
  return encodeMessage(schema, value, FRAME_HEADER_BYTES);
}

/** protos/open_inference.proto, but for the two messages with tensors. */
export const EMPTY: MessageSchema = {};
export const SERVER_LIVE: MessageSchema = { live: { number: 1, kind: 'bool' } };
export const READY: MessageSchema = { ready: { number: 1, kind: 'bool' } };
/** ModelReadyRequest and ModelMetadataRequest. */
export const MODEL_REFERENCE: MessageSchema = { name: { number: 1, kind: 'string' }, version: { number: 2, kind: 'string' } };
export const SERVER_METADATA: MessageSchema = {
  name: { number: 1, kind: 'string' },
  version: { number: 2, kind: 'string' },
  extensions: { number: 3, kind: 'strings' },
};
const TENSOR_METADATA: MessageSchema = {
  name: { number: 1, kind: 'string' },
  datatype: { number: 2, kind: 'string' },
  shape: { number: 3, kind: 'numbers' },
};
export const MODEL_METADATA: MessageSchema = {
  name: { number: 1, kind: 'string' },
  versions: { number: 2, kind: 'strings' },
  platform: { number: 3, kind: 'string' },
  inputs: { number: 4, kind: 'messages', of: TENSOR_METADATA },
  outputs: { number: 5, kind: 'messages', of: TENSOR_METADATA },
  properties: { number: 6, kind: 'map' },
};
export const INDEX_REQUEST: MessageSchema = { repository_name: { number: 1, kind: 'string' }, ready: { number: 2, kind: 'bool' } };
const MODEL_INDEX: MessageSchema = {
  name: { number: 1, kind: 'string' },
  version: { number: 2, kind: 'string' },
  state: { number: 3, kind: 'string' },
  reason: { number: 4, kind: 'string' },
};
export const INDEX_RESPONSE: MessageSchema = { models: { number: 1, kind: 'messages', of: MODEL_INDEX } };
/** RepositoryModelLoadRequest and RepositoryModelUnloadRequest; of the parameters only the names count. */
export const LOAD_REQUEST: MessageSchema = {
  repository_name: { number: 1, kind: 'string' },
  model_name: { number: 2, kind: 'string' },
  parameters: { number: 3, kind: 'map', of: EMPTY },
};
export const LOAD_RESPONSE: MessageSchema = { model_name: { number: 1, kind: 'string' }, isLoaded: { number: 2, kind: 'bool' } };
export const UNLOAD_RESPONSE: MessageSchema = { model_name: { number: 1, kind: 'string' }, isUnloaded: { number: 2, kind: 'bool' } };

const DURATION: MessageSchema = { count: { number: 1, kind: 'number' }, ns: { number: 2, kind: 'number' } };
const INFER_STATISTICS: MessageSchema = {
  success: { number: 1, kind: 'message', of: DURATION },
  fail: { number: 2, kind: 'message', of: DURATION },
  queue: { number: 3, kind: 'message', of: DURATION },
  compute_input: { number: 4, kind: 'message', of: DURATION },
  compute_infer: { number: 5, kind: 'message', of: DURATION },
  compute_output: { number: 6, kind: 'message', of: DURATION },
  cache_hit: { number: 7, kind: 'message', of: DURATION },
  cache_miss: { number: 8, kind: 'message', of: DURATION },
};
const BATCH_STATISTICS: MessageSchema = {
  batch_size: { number: 1, kind: 'number' },
  compute_input: { number: 2, kind: 'message', of: DURATION },
  compute_infer: { number: 3, kind: 'message', of: DURATION },
  compute_output: { number: 4, kind: 'message', of: DURATION },
};
const MODEL_STATISTICS: MessageSchema = {
  name: { number: 1, kind: 'string' },
  version: { number: 2, kind: 'string' },
  last_inference: { number: 3, kind: 'number' },
  inference_count: { number: 4, kind: 'number' },
  execution_count: { number: 5, kind: 'number' },
  inference_stats: { number: 6, kind: 'message', of: INFER_STATISTICS },
  batch_stats: { number: 7, kind: 'messages', of: BATCH_STATISTICS },
};
/** ModelStatisticsResponse, without the lists that are always empty here. */
export const STATISTICS: MessageSchema = { model_stats: { number: 1, kind: 'messages', of: MODEL_STATISTICS } };

/** protos/health.proto */
export const HEALTH_REQUEST: MessageSchema = { service: { number: 1, kind: 'string' } };
export const HEALTH_RESPONSE: MessageSchema = { status: { number: 1, kind: 'number' } };
export const HEALTH_LIST: MessageSchema = { statuses: { number: 1, kind: 'map', of: HEALTH_RESPONSE } };
