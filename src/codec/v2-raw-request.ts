import { elementBytes } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import type { Signature, TensorMetadata } from '../core/metadata.ts';
import { bytesFromElements, tensorFromBytes } from '../core/tensor-bytes.ts';
import { createParameters, formatShape, type Tensor } from '../core/tensor.ts';

/**
 * Decodes Triton's raw form (header length 0): the body is the model's only input and nothing else. One dimension may vary, its size follows from the
 * body's; when two vary and the first is one of them, that one is a batch of 1. For BYTES the body is the one element, without a length before it.
 * All outputs are asked for in binary form.
 */
export function decodeRawRequest(
  body: Uint8Array,
  options: { readonly modelName: string; readonly modelVersion?: string; readonly signature?: Signature },
): InferRequest {
  const { modelName, modelVersion, signature } = options;
  if (signature === undefined) throw invalidRequest('Cannot decode request: expected JSON before the raw tensors, got a header length of 0');
  const [input] = signature.inputs;
  if (input === undefined || signature.inputs.length > 1) {
    throw invalidRequest(`Cannot decode request without JSON: expected a model with one input, got ${signature.inputs.length}`);
  }
  return {
    modelName,
    ...(modelVersion === undefined ? {} : { modelVersion }),
    parameters: createParameters([['binary_data_output', true]]),
    inputs: [rawTensor(input, body)],
  };
}

function rawTensor({ name, datatype, shape }: TensorMetadata, body: Uint8Array): Tensor {
  const what = `input ${JSON.stringify(name)} without JSON`;
  if (datatype === 'BYTES') {
    const single = shape.map((size) => (size === -1 ? 1 : size));
    if (single.some((size) => size !== 1)) throw invalidRequest(`Cannot decode ${what}: expected one BYTES element, got shape ${formatShape(shape)}`);
    return { name, datatype, shape: single, data: bytesFromElements([body]) };
  }
  const known = shape.filter((size) => size === -1).length > 1 && shape[0] === -1 ? [1, ...shape.slice(1)] : shape;
  const fixed = known.filter((size) => size !== -1);
  if (known.length - fixed.length > 1)
    throw invalidRequest(`Cannot decode ${what}: expected at most one varying dimension, got ${formatShape(shape)}`);
  const slotBytes = fixed.reduce((product, size) => product * size, elementBytes(datatype));
  const isWhole = slotBytes > 0 && body.length % slotBytes === 0;
  if (!isWhole)
    throw invalidRequest(
      `Cannot decode ${what}: expected a multiple of ${slotBytes} bytes for ${datatype} ${formatShape(shape)}, got ${body.length}`,
    );
  const actual = known.map((size) => (size === -1 ? body.length / slotBytes : size));
  return { name, datatype, shape: actual, data: tensorFromBytes(datatype, actual, body, what) };
}
