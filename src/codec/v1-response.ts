import type { InferResponse, Verb } from '../core/infer.ts';
import type { Steps } from '../core/steps.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EncodedBody } from './encoded-body.ts';
import { JsonWriter } from './json/writer.ts';
import { isSmall, WRITE_BATCH, writeElements, writeSmall } from './tensor-json-write.ts';
import type { PredictRequest } from './v1-request.ts';
import { finishBody } from './v2-json-write.ts';

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;

/** What of a request decides how its answer looks. */
export type PredictForm = Pick<PredictRequest, 'form' | 'rows'>;

/** The form of an answer to a request that was no tensors: its own rows are all that is known. */
export function formOfAnswer({ outputs }: InferResponse): PredictForm {
  return { form: 'instances', rows: outputs[0]?.shape[0] ?? 1 };
}

/**
 * Encodes a v1 answer. To `instances`: `{"predictions":[…]}`, one entry per row, which is the output's row, or with several outputs an object
 * `{name: row}`. Outputs that have no row per instance cannot be told apart so: then all are given whole, `{"predictions":{name: tensor, …}}`. To columns:
 * `{"outputs": …}`, the tensor itself or with several outputs an object. Explanations look the same under `explanations`. BYTES are strings,
 * `{"b64": "…"}` where they are not UTF-8; NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".
 */
export function* encodePredictResponse(response: InferResponse, { form, rows }: PredictForm, verb: Verb = 'infer'): Steps<EncodedBody> {
  const writer = new JsonWriter();
  const { outputs } = response;
  const [first] = outputs;
  writer.ascii(verb === 'explain' ? '{"explanations":' : form === 'instances' ? '{"predictions":' : '{"outputs":');
  if (form === 'instances' && outputs.every(({ shape }) => shape[0] === rows)) yield* writeRows(writer, outputs, rows);
  else if (form === 'columns' && first !== undefined && outputs.length === 1) yield* writeNested(writer, first, first.shape, 0);
  else yield* writeNamed(writer, outputs);
  writer.ascii('}');
  return finishBody(writer, new Set());
}

/** One list with an entry per row: the tensor's row, or with several tensors an object `{name: row}`. */
export function* writeRows(writer: JsonWriter, outputs: readonly Tensor[], rows: number): Steps<void> {
  const [first] = outputs;
  if (first !== undefined && outputs.length === 1) {
    yield* writeNested(writer, first, first.shape, 0);
    return;
  }
  const columns = outputs.map((tensor) => ({
    tensor,
    key: JSON.stringify(tensor.name),
    rowShape: tensor.shape.slice(1),
    rowLength: product(tensor.shape, 1),
  }));
  writer.ascii('[');
  for (let row = 0; row < rows; row++) {
    if (row > 0) writer.byte(COMMA);
    let separator = '{';
    for (const { tensor, key, rowShape, rowLength } of columns) {
      writer.ascii(separator);
      writeKey(writer, key);
      const start = row * rowLength;
      if (isSmallPart(tensor, rowShape, 0, start)) writeNestedSmall(writer, tensor, rowShape, 0, start);
      else yield* writeNested(writer, tensor, rowShape, start);
      separator = ',';
    }
    writer.ascii(separator === '{' ? '{}' : '}');
    if (row % 128 === 127) yield;
  }
  writer.ascii(']');
}

/** An object with every tensor whole, by name. */
export function* writeNamed(writer: JsonWriter, outputs: readonly Tensor[]): Steps<void> {
  let separator = '{';
  for (const tensor of outputs) {
    writer.ascii(separator);
    writeKey(writer, JSON.stringify(tensor.name));
    yield* writeNested(writer, tensor, tensor.shape, 0);
    separator = ',';
  }
  writer.ascii(separator === '{' ? '{}' : '}');
}

function writeKey(writer: JsonWriter, json: string): void {
  writer.reserve(json.length * 3 + 1);
  writer.pos += writer.buffer.write(json, writer.pos);
  writer.ascii(':');
}

/** Writes the part of a tensor that starts at element `from` and has `shape`, as nested lists; a bare value for `[]`. */
function* writeNested(writer: JsonWriter, tensor: Tensor, shape: readonly number[], from: number): Steps<void> {
  const [size] = shape;
  if (isSmallPart(tensor, shape, 0, from)) {
    writeNestedSmall(writer, tensor, shape, 0, from);
    return;
  }
  if (size === undefined) {
    yield* writeElements(writer, tensor, from, from + 1, writeBase64);
    return;
  }
  writer.byte(OPEN);
  if (shape.length === 1) yield* writeElements(writer, tensor, from, from + size, writeBase64);
  else {
    const inner = shape.slice(1);
    const stride = product(shape, 1);
    const partsPerStep = Math.max(1, Math.floor(WRITE_BATCH / countValues(shape, 1)));
    for (let part = 0; part < size; part++) {
      if (part > 0) writer.byte(COMMA);
      const start = from + part * stride;
      if (isSmallPart(tensor, shape, 1, start)) writeNestedSmall(writer, tensor, shape, 1, start);
      else yield* writeNested(writer, tensor, inner, start);
      if ((part + 1) % partsPerStep === 0) yield;
    }
  }
  writer.byte(CLOSE);
}

/** As `writeNested` for the shape from `axis` on, in one go. */
function writeNestedSmall(writer: JsonWriter, tensor: Tensor, shape: readonly number[], axis: number, from: number): void {
  const size = shape[axis];
  if (size === undefined) {
    writeSmall(writer, tensor, from, from + 1, writeBase64);
    return;
  }
  writer.byte(OPEN);
  if (axis === shape.length - 1) writeSmall(writer, tensor, from, from + size, writeBase64);
  else {
    const stride = product(shape, axis + 1);
    for (let part = 0; part < size; part++) {
      if (part > 0) writer.byte(COMMA);
      writeNestedSmall(writer, tensor, shape, axis + 1, from + part * stride);
    }
  }
  writer.byte(CLOSE);
}

/** True when the part may be written in one go. */
function isSmallPart(tensor: Tensor, shape: readonly number[], axis: number, from: number): boolean {
  return countValues(shape, axis) <= WRITE_BATCH && isSmall(tensor, from, from + product(shape, axis));
}

/** Elements, or lists where those are empty: what there is to write. */
function countValues(shape: readonly number[], fromAxis: number): number {
  let count = 1;
  for (let axis = fromAxis; axis < shape.length; axis++) count *= Math.max(shape[axis] ?? 1, 1);
  return count;
}

function writeBase64(writer: JsonWriter, bytes: Uint8Array): void {
  writer.ascii('{"b64":"');
  writer.ascii(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'));
  writer.ascii('"}');
}

function product(shape: readonly number[], fromAxis: number): number {
  let count = 1;
  for (let axis = fromAxis; axis < shape.length; axis++) count *= shape[axis] ?? 1;
  return count;
}
