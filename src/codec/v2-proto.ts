import type { InferRequest, InferResponse } from '../core/infer.ts';
import { runSteps, type Steps } from '../core/steps.ts';
import { peekHead, readMessage, readTensors, REQUEST, RESPONSE, type MessageDraft, type MessageHead } from './v2-proto-message.ts';
import { writeMessage } from './v2-proto-message-writer.ts';

/**
 * ModelInferRequest and ModelInferResponse of the Open Inference Protocol's gRPC form, both directions: server and client share them. Bytes come from
 * anybody: whatever is malformed throws ServingError invalid_request and nothing else. Tensors get storage of their own, so the message may be
 * dropped afterwards. What a server does, for messages of many megabytes, goes in slices (`…Steps`).
 */

export interface DecodedInferRequest {
  readonly request: InferRequest;
  /** True when the tensors came as raw_input_contents; the response answers in the same form. */
  readonly raw: boolean;
}

export interface EncodeProtoOptions {
  /** raw_*_contents instead of typed contents. Taken anyway when a tensor is FP16 or BF16, which have no typed contents. */
  readonly raw: boolean;
  /** Bytes left free before the message, for the header of a frame; 0 when absent. */
  readonly headroom?: number;
}

/** Model, version and id of a ModelInferRequest without looking at its tensors, so that an unknown model costs no decoding. */
export function peekModelInferRequest(bytes: Uint8Array): MessageHead {
  return peekHead(bytes, REQUEST);
}

/** `mayKeepBytes`: the message is the request's alone, so that tensors may lie in it. */
export function* decodeModelInferRequestSteps(bytes: Uint8Array, mayKeepBytes = false): Steps<DecodedInferRequest> {
  const message = yield* readMessage(bytes, REQUEST);
  const inputs = yield* readTensors(message, REQUEST, mayKeepBytes);
  const request: Mutable<InferRequest> = { modelName: message.modelName, inputs };
  fillHead(request, message);
  if (message.outputs.length > 0) request.outputs = message.outputs;
  return { request, raw: message.raw.length > 0 };
}

export function decodeModelInferResponse(bytes: Uint8Array): InferResponse {
  return runSteps(decodeModelInferResponseSteps(bytes));
}

/** The parameter binary_data_size of raw outputs belongs to the encoding and is left out. */
export function* decodeModelInferResponseSteps(bytes: Uint8Array): Steps<InferResponse> {
  const message = yield* readMessage(bytes, RESPONSE);
  const outputs = yield* readTensors(message, RESPONSE);
  const response: Mutable<InferResponse> = { modelName: message.modelName, outputs };
  fillHead(response, message);
  return response;
}

export function encodeModelInferRequest(request: InferRequest, options: EncodeProtoOptions): Buffer {
  return runSteps(encodeModelInferRequestSteps(request, options));
}

export function* encodeModelInferRequestSteps(request: InferRequest, options: EncodeProtoOptions): Steps<Buffer> {
  return yield* writeMessage(request, request.inputs, request.outputs ?? [], options, REQUEST);
}

/** Raw outputs carry the parameter binary_data_size, their byte length, as KServe's do; Triton's clients ignore it. */
export function* encodeModelInferResponseSteps(response: InferResponse, options: EncodeProtoOptions): Steps<Buffer> {
  return yield* writeMessage(response, response.outputs, [], options, RESPONSE);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Proto3 cannot tell an absent string from an empty one: empty is absent. */
function fillHead(target: Mutable<Omit<InferRequest, 'inputs' | 'outputs'>>, message: MessageDraft): void {
  if (message.modelVersion !== '') target.modelVersion = message.modelVersion;
  if (message.id !== '') target.id = message.id;
  if (message.parameters !== undefined) target.parameters = message.parameters;
}
