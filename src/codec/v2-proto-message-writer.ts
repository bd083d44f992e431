import type { RequestedOutput } from '../core/infer.ts';
import type { Steps } from '../core/steps.ts';
import { createParameters, type Parameters, type Tensor } from '../core/tensor.ts';
import { tensorToBytes } from '../core/tensor-bytes.ts';
import { hasTypedContents, type TypedDatatype } from './v2-proto-contents.ts';
import { measureContents, writeContents, type ContentsSize } from './v2-proto-contents-writer.ts';
import { BINARY_DATA_SIZE, ID, MODEL_NAME, MODEL_VERSION, PARAMETERS, REQUESTED, TENSOR, TENSORS, type MessageLayout } from './v2-proto-message.ts';
import { writeParameters } from './v2-proto-parameters.ts';
import { LENGTH } from './v2-proto-reader.ts';
import { ProtoWriter, varintLength } from './v2-proto-writer.ts';

/** What requests and responses have in common. */
interface Envelope {
  readonly modelName: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
}

/** Room for tags and lengths around one large field. */
const FRAMING_BYTES = 32;
const HEAD_BYTES = 128;
const COPY_SLICE_BYTES = 1 << 22;

export function* writeMessage(
  envelope: Envelope,
  tensors: readonly Tensor[],
  outputs: readonly RequestedOutput[],
  { raw, headroom = 0 }: { readonly raw: boolean; readonly headroom?: number },
  layout: MessageLayout,
): Steps<Buffer> {
  const isRaw = raw || tensors.some((tensor) => !hasTypedContents(tensor.datatype));
  const writer = new ProtoWriter(headroom + HEAD_BYTES);
  writer.position = headroom;
  writer.string(MODEL_NAME, envelope.modelName);
  writer.string(MODEL_VERSION, envelope.modelVersion ?? '');
  writer.string(ID, envelope.id ?? '');
  writeParameters(writer, PARAMETERS, envelope.parameters);
  for (const output of outputs) writer.bytes(layout.outputsField, encodeRequestedOutput(output));
  if (isRaw) yield* writeRaw(writer, tensors, layout);
  else yield* writeTyped(writer, tensors);
  return writer.finish();
}

/** All tensors, then all their bytes: once the sizes are known the buffer grows once. */
function* writeRaw(writer: ProtoWriter, tensors: readonly Tensor[], layout: MessageLayout): Steps<void> {
  const chunks = tensors.map((tensor) => tensorToBytes(tensor.data));
  const heads = tensors.map((tensor, index) => {
    const size = layout.hasBinaryDataSize ? chunks[index]?.length : undefined;
    return encodeHead(tensor, size === undefined ? tensor.parameters : withSize(tensor.parameters, size));
  });
  let total = 0;
  for (const part of [...chunks, ...heads]) total += part.length + FRAMING_BYTES;
  writer.ensure(total);
  for (const head of heads) writer.bytes(TENSORS, head);
  for (const chunk of chunks) {
    writer.tag(layout.rawField, LENGTH);
    writer.varint(chunk.length, 0);
    for (let from = 0; from < chunk.length; from += COPY_SLICE_BYTES) {
      writer.append(chunk.subarray(from, from + COPY_SLICE_BYTES));
      yield;
    }
  }
}

function* writeTyped(writer: ProtoWriter, tensors: readonly Tensor[]): Steps<void> {
  const parts: { readonly tensor: Tensor; readonly head: Uint8Array; readonly size: ContentsSize }[] = [];
  let total = 0;
  for (const tensor of tensors) {
    const part = { tensor, head: encodeHead(tensor, tensor.parameters), size: yield* measureContents(tensor.data) };
    total += part.head.length + part.size.body + FRAMING_BYTES;
    parts.push(part);
  }
  writer.ensure(total);
  for (const { tensor, head, size } of parts) {
    const contents = size.body === 0 ? 0 : 1 + varintLength(size.body, 0) + size.body;
    writer.tag(TENSORS, LENGTH);
    writer.varint(head.length + contents, 0);
    writer.append(head);
    if (contents === 0) continue;
    writer.tag(TENSOR.contents, LENGTH);
    writer.varint(size.body, 0);
    yield* writeContents(writer, tensor.datatype as TypedDatatype, tensor.data, size);
  }
}

/** A tensor without its elements. */
function encodeHead(tensor: Tensor, parameters: Parameters | undefined): Uint8Array {
  const writer = new ProtoWriter(HEAD_BYTES);
  writer.string(TENSOR.name, tensor.name);
  writer.string(TENSOR.datatype, tensor.datatype);
  if (tensor.shape.length > 0) {
    const shape = new ProtoWriter(tensor.shape.length * 10);
    for (const dimension of tensor.shape) shape.varint(dimension % 2 ** 32, Math.floor(dimension / 2 ** 32));
    writer.bytes(TENSOR.shape, shape.finish());
  }
  writeParameters(writer, TENSOR.parameters, parameters);
  return writer.finish();
}

function encodeRequestedOutput(output: RequestedOutput): Uint8Array {
  const writer = new ProtoWriter(HEAD_BYTES);
  writer.string(REQUESTED.name, output.name);
  writeParameters(writer, REQUESTED.parameters, output.parameters);
  return writer.finish();
}

function withSize(parameters: Parameters | undefined, size: number): Parameters {
  const result = createParameters(parameters === undefined ? [] : Object.entries(parameters));
  result[BINARY_DATA_SIZE] = size;
  return result;
}
