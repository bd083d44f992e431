import { ServingError } from '../core/errors.ts';
import { allocateData, dataByteLength, dataLength, formatShape, isBytesData, type BytesData, type Tensor, type TensorData } from '../core/tensor.ts';

/**
 * One tensor for each input, with the rows of all requests in their order. The requests agree in everything but their rows (`formOf`) and their data fills its
 * shape. This is the one copy of their data: what is made belongs to the caller, requests keep theirs.
 *
 *     request 0 | row | row |      request 1 | row |      merged | row | row | row |
 */
export function mergeRows(requests: readonly (readonly Tensor[])[]): Tensor[] {
  const [first = []] = requests;
  return first.map(({ name, datatype, shape }, index) => {
    const parts: TensorData[] = [];
    let rows = 0;
    for (const inputs of requests) {
      const part = inputs[index];
      if (part === undefined) throw new TypeError(`Cannot merge input "${name}": a request does not have it`);
      parts.push(part.data);
      rows += part.shape[0] ?? 0;
    }
    return { name, datatype, shape: [rows, ...shape.slice(1)], data: datatype === 'BYTES' ? joinBytes(parts) : joinFixed(datatype, parts) };
  });
}

function joinFixed(datatype: Exclude<Tensor['datatype'], 'BYTES'>, parts: readonly TensorData[]): TensorData {
  let count = 0;
  for (const part of parts) count += dataLength(part);
  const joined = allocateData(datatype, count);
  const bytes = new Uint8Array(joined.buffer);
  let at = 0;
  for (const part of parts) {
    if (isBytesData(part)) continue;
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return joined;
}

function joinBytes(parts: readonly TensorData[]): BytesData {
  let length = 0;
  let count = 0;
  for (const part of parts) {
    length += dataByteLength(part);
    count += dataLength(part);
  }
  const bytes = new Uint8Array(new ArrayBuffer(length));
  const offsets = new Uint32Array(count + 1);
  let at = 0;
  let index = 0;
  for (const part of parts) {
    if (!isBytesData(part)) continue;
    const start = part.offsets[0] ?? 0;
    const end = part.offsets[part.offsets.length - 1] ?? start;
    bytes.set(part.bytes.subarray(start, end), at);
    for (let i = 0; i + 1 < part.offsets.length; i++) offsets[index++] = at + (part.offsets[i] ?? 0) - start;
    at += end - start;
  }
  offsets[index] = at;
  return { bytes, offsets };
}

/**
 * The outputs of one run, handed back by `rows[i]` rows to request i. Views of the run's own memory, which lives until the last of them is gone; with `isCopied`
 * in memory of their own, for user code, which must not get at the rows of others. Throws ServingError model_failed when an output has not one row for each.
 */
export function splitRows(outputs: readonly Tensor[], rows: readonly number[], isCopied: boolean): Tensor[][] {
  let total = 0;
  for (const count of rows) total += count;
  for (const { name, shape, data } of outputs) {
    if (shape[0] === total && dataLength(data) === shape.reduce((product, size) => product * size, 1)) continue;
    throw new ServingError('model_failed', `Cannot hand back output "${name}" of ${total} rows: its shape is ${formatShape(shape)}`);
  }
  let from = 0;
  return rows.map((count) => {
    const part = outputs.map((output) => takeRows(output, from, count, isCopied));
    from += count;
    return part;
  });
}

/** `count` rows of a tensor from row `from` on. The tensor's parameters are those of each part. */
export function takeRows({ name, datatype, shape, data, parameters }: Tensor, from: number, count: number, isCopied: boolean): Tensor {
  let perRow = 1;
  for (let axis = 1; axis < shape.length; axis++) perRow *= shape[axis] ?? 1;
  const start = from * perRow;
  const end = start + count * perRow;
  const part = { name, datatype, shape: [count, ...shape.slice(1)], data: takeElements(data, start, end, isCopied) };
  return parameters === undefined ? part : { ...part, parameters };
}

function takeElements(data: TensorData, start: number, end: number, isCopied: boolean): TensorData {
  if (!isBytesData(data)) return isCopied ? data.slice(start, end) : data.subarray(start, end);
  const first = data.offsets[start] ?? 0;
  const last = data.offsets[end] ?? first;
  const bytes = isCopied ? data.bytes.slice(first, last) : data.bytes.subarray(first, last);
  return { bytes, offsets: data.offsets.slice(start, end + 1).map((offset) => offset - first) };
}
