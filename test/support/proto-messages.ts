import {
  decodeModelInferRequestSteps,
  encodeModelInferResponseSteps,
  type DecodedInferRequest,
  type EncodeProtoOptions,
} from '../../src/codec/v2-proto.ts';
import type { InferResponse } from '../../src/core/infer.ts';
import { runSteps } from '../../src/core/steps.ts';

/** What a server decodes in slices, straight through. */
export function decodeModelInferRequest(bytes: Uint8Array): DecodedInferRequest {
  return runSteps(decodeModelInferRequestSteps(bytes));
}

/** What a server encodes in slices, straight through. */
export function encodeModelInferResponse(response: InferResponse, options: EncodeProtoOptions): Buffer {
  return runSteps(encodeModelInferResponseSteps(response, options));
}
