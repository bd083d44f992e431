import { createHash } from 'node:crypto';
import type { InferRequest } from '../core/infer.ts';
import { formOf } from '../core/rows.ts';
import type { Steps } from '../core/steps.ts';
import { isBytesData, type TensorData } from '../core/tensor.ts';

/** Requests come from anyone: nobody may be able to make two of one digest. */
const ALGORITHM = 'sha256';

/** Bytes between two pauses: about as long as it takes to answer a probe. */
const SLICE_BYTES = 256 * 1024;

/**
 * The same for two requests to one model exactly when they ask the same: names, datatypes, shapes and bytes of the inputs in their order, the body, wanted
 * outputs and parameters.
 */
export function* digestSteps(request: InferRequest): Steps<string> {
  const hash = createHash(ALGORITHM);
  // Lengths stand in the description, so that no bytes can be taken for those of a neighbour.
  hash.update(describe(request));
  for (const { data } of request.inputs) yield* update(hash, bytesOf(data));
  if (request.body !== undefined) yield* update(hash, request.body.bytes);
  return hash.digest('base64');
}

function* update(hash: { update(bytes: Uint8Array): unknown }, bytes: Uint8Array): Steps<void> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    hash.update(bytes.subarray(at, at + SLICE_BYTES));
    yield;
  }
}

function describe(request: InferRequest): string {
  const { inputs, body } = request;
  const sizes = inputs.map(({ shape, data }) => [shape, bytesOf(data).length]);
  return JSON.stringify([formOf(request), sizes, body === undefined ? null : [body.contentType, body.bytes.length]]);
}

/** In wire form: elements of BYTES stand behind their lengths. */
function bytesOf(data: TensorData): Uint8Array {
  if (isBytesData(data)) return data.bytes.subarray(data.offsets[0], data.offsets[data.offsets.length - 1]);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
