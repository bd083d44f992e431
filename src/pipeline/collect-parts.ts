import type { Body, InferResponse } from '../core/infer.ts';
import { bytesElement, bytesFromElements } from '../core/tensor-bytes.ts';
import {
  allocateData,
  createParameters,
  dataByteLength,
  elementCount,
  formatShape,
  isBytesData,
  totalByteLength,
  type BytesData,
  type FixedSizeData,
  type Tensor,
} from '../core/tensor.ts';
import { WrongAnswer } from './wrong-answer.ts';

/** What user code answered, before it becomes a response. */
export type Answered = Pick<InferResponse, 'outputs' | 'body' | 'parameters'>;

/** All parts of one answer together. */
export const MOST_PART_BYTES = 64 << 20;

/**
 * Puts the parts of an answer together: tensors of one name along their first dimension, bodies one behind the other, parameters of later parts over those of
 * earlier ones. Throws WrongAnswer when parts do not fit each other, there is none, or they take more than 64 MiB.
 */
export async function collectParts(parts: AsyncIterable<unknown>, takePart: (value: unknown) => Answered, isGone: () => boolean): Promise<Answered> {
  const taken: Answered[] = [];
  let bytes = 0;
  for await (const value of parts) {
    const part = takePart(value);
    bytes += totalByteLength(part.outputs) + (part.body?.bytes.length ?? 0);
    if (bytes > MOST_PART_BYTES) throw new WrongAnswer(`its parts take more than ${MOST_PART_BYTES >> 20} MiB together`);
    taken.push(part);
    if (taken.length > MOST_PARTS) throw new WrongAnswer(`it has more than ${MOST_PARTS} parts`);
    if (isGone()) break;
  }
  return joinParts(taken);
}

const MOST_PARTS = 1_000_000;

function joinParts(parts: readonly Answered[]): Answered {
  const [first] = parts;
  if (first === undefined) throw new WrongAnswer('it yielded nothing, expected at least one part');
  if (parts.length === 1) return first;
  const bodies = parts.flatMap(({ body }) => (body === undefined ? [] : [body]));
  if (bodies.length > 0) {
    if (bodies.length < parts.length) throw new WrongAnswer('some of its parts are tensors and some replies, expected one kind');
    return { outputs: [], body: joinBodies(bodies) };
  }
  const outputs = joinTensors(parts.map((part) => part.outputs));
  const parameters = parts.flatMap((part) => (part.parameters === undefined ? [] : [part.parameters]));
  return parameters.length === 0 ? { outputs } : { outputs, parameters: createParameters(parameters.flatMap((some) => Object.entries(some))) };
}

function joinBodies(bodies: readonly Body[]): Body {
  const [{ contentType } = { contentType: '' }] = bodies;
  const other = bodies.find((body) => body.contentType !== contentType);
  if (other !== undefined) throw new WrongAnswer(`its parts are of ${contentType} and ${other.contentType}, expected one content type`);
  return { contentType, bytes: Buffer.concat(bodies.map((body) => body.bytes)) };
}

function joinTensors(parts: readonly (readonly Tensor[])[]): readonly Tensor[] {
  const byName = new Map<string, Tensor[]>();
  for (const tensors of parts) {
    for (const tensor of tensors) {
      const same = byName.get(tensor.name);
      if (same === undefined) byName.set(tensor.name, [tensor]);
      else same.push(tensor);
    }
  }
  return [...byName.values()].map(joinRows);
}

/** One tensor of all rows. The parts agree in datatype and in all dimensions but the first. */
function joinRows(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (first === undefined) throw new RangeError('No rows to join');
  if (parts.length === 1) return first;
  const { name, datatype } = first;
  const [, ...row] = first.shape;
  let rows = 0;
  for (const { datatype: other, shape } of parts) {
    const [size, ...rest] = shape;
    if (size === undefined || other !== datatype || rest.length !== row.length || rest.some((dimension, i) => dimension !== row[i])) {
      throw new WrongAnswer(
        `its parts of tensor "${name}" do not fit: ${datatype} ${formatShape(first.shape)} and ${other} ${formatShape(shape)} differ in more than the first dimension`,
      );
    }
    rows += size;
  }
  const shape = [rows, ...row];
  return {
    name,
    datatype,
    shape,
    data: datatype === 'BYTES' ? joinElements(parts) : joinFixed(datatype, elementCount(shape, `tensor "${name}"`), parts),
  };
}

function joinFixed(datatype: Exclude<Tensor['datatype'], 'BYTES'>, count: number, parts: readonly Tensor[]): FixedSizeData {
  const data = allocateData(datatype, count);
  const target = new Uint8Array(data.buffer);
  let position = 0;
  for (const part of parts) {
    const source = part.data as FixedSizeData;
    target.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength), position);
    position += dataByteLength(source);
  }
  return data;
}

function joinElements(parts: readonly Tensor[]): BytesData {
  return bytesFromElements(
    parts.flatMap(({ data }) => (isBytesData(data) ? Array.from({ length: data.offsets.length - 1 }, (_, index) => bytesElement(data, index)) : [])),
  );
}
