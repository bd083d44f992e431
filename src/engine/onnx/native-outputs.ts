import { ServingError } from '../../core/errors.ts';
import {
  allocateData,
  createParameters,
  dataByteLength,
  dataLength,
  formatShape,
  isBytesData,
  type BytesData,
  type Tensor,
  type TensorData,
} from '../../core/tensor.ts';
import { withHandles, type Handles, type Pointer } from '../native/index.ts';
import { KEYS_PARAMETER, mapKey } from './map-keys.ts';
import type { NativeOutput } from './native-signature.ts';
import { readTensor } from './native-values.ts';
import type { OrtRuntime } from './ort-runtime.ts';

/** One output as one tensor in a buffer of its own; README.md beside this file has the rule by which sequences and maps are flattened. */
export function readOutput(runtime: OrtRuntime, value: Pointer, output: NativeOutput): Tensor {
  const { name, datatype } = output.metadata;
  if (runtime.int32((out) => runtime.api.HasValue(value, out)) === 0) throw failed(name, 'the model left this optional output empty');
  switch (output.kind) {
    case 'tensor':
      return readTensor(runtime, value, name);
    case 'tensors':
      return stackTensors(name, datatype, readItems(runtime, value, name));
    case 'map': {
      const map = withHandles((handles) => readMap(runtime, handles, value, name));
      return { ...map.values, parameters: keysParameter(map.keys) };
    }
    case 'maps':
      return readMaps(runtime, value, output);
  }
}

function readItems(runtime: OrtRuntime, sequence: Pointer, name: string): Tensor[] {
  const count = runtime.number((out) => runtime.api.GetValueCount(sequence, out));
  return Array.from({ length: count }, (_, index) => withHandles((handles) => readTensor(runtime, itemAt(runtime, handles, sequence, index), name)));
}

function itemAt(runtime: OrtRuntime, handles: Handles, container: Pointer, index: number): Pointer {
  const { api, allocator } = runtime;
  return runtime.create(handles, api.ReleaseValue, (out) => api.GetValue(container, index, allocator, out));
}

function stackTensors(name: string, datatype: Tensor['datatype'], items: readonly Tensor[]): Tensor {
  const shape = items[0]?.shape ?? [];
  for (const item of items) {
    if (formatShape(item.shape) === formatShape(shape)) continue;
    throw failed(
      name,
      `its items differ in shape, ${formatShape(shape)} and ${formatShape(item.shape)}, and cannot be one tensor; request other outputs`,
    );
  }
  return { name, datatype, shape: [items.length, ...shape], data: joinData(datatype, items) };
}

function joinData(datatype: Tensor['datatype'], items: readonly Tensor[]): TensorData {
  if (datatype === 'BYTES') return joinBytes(items.map((item) => item.data).filter(isBytesData));
  const joined = allocateData(
    datatype,
    items.reduce((count, item) => count + dataLength(item.data), 0),
  );
  const bytes = new Uint8Array(joined.buffer);
  let at = 0;
  for (const { data } of items) {
    if (isBytesData(data)) continue;
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return joined;
}

function joinBytes(items: readonly BytesData[]): BytesData {
  const bytes = new Uint8Array(new ArrayBuffer(items.reduce((total, item) => total + dataByteLength(item), 0)));
  const offsets = new Uint32Array(items.reduce((total, item) => total + dataLength(item), 0) + 1);
  let at = 0;
  let index = 0;
  for (const item of items) {
    bytes.set(item.bytes, at);
    for (let i = 0; i + 1 < item.offsets.length; i++) offsets[index++] = at + (item.offsets[i] ?? 0);
    at += item.bytes.length;
  }
  offsets[index] = at;
  return { bytes, offsets };
}

interface FlatMap {
  /** Sorted, as the library's ordered maps give them. */
  readonly keys: readonly (string | number)[];
  readonly values: Tensor;
}

function readMap(runtime: OrtRuntime, handles: Handles, map: Pointer, name: string): FlatMap {
  const keys = readTensor(runtime, itemAt(runtime, handles, map, 0), name);
  const values = readTensor(runtime, itemAt(runtime, handles, map, 1), name);
  return { keys: keysOf(keys.data), values };
}

function keysOf(data: TensorData): (string | number)[] {
  if (!isBytesData(data)) return Array.from(data as ArrayLike<number | bigint>, (key) => mapKey(BigInt(key)));
  const { bytes, offsets } = data;
  return Array.from({ length: dataLength(data) }, (_, i) => Buffer.from(bytes.subarray((offsets[i] ?? 0) + 4, offsets[i + 1])).toString('utf8'));
}

/** Maps with the same keys as a matrix [maps, keys]. */
function readMaps(runtime: OrtRuntime, sequence: Pointer, output: NativeOutput): Tensor {
  const { name, datatype, shape } = output.metadata;
  const count = runtime.number((out) => runtime.api.GetValueCount(sequence, out));
  let keys: FlatMap['keys'] = [];
  const rows: Tensor[] = [];
  for (let row = 0; row < count; row++) {
    const map = withHandles((handles) => readMap(runtime, handles, itemAt(runtime, handles, sequence, row), name));
    if (row === 0) keys = map.keys;
    else if (!isSame(keys, map.keys)) throw failed(name, `its maps differ in their keys, and cannot be one matrix; request other outputs`);
    rows.push(map.values);
  }
  const columns = count > 0 ? keys.length : Math.max(shape[1] ?? 0, 0);
  return { name, datatype, shape: [count, columns], data: joinData(datatype, rows), ...(count > 0 ? { parameters: keysParameter(keys) } : {}) };
}

function keysParameter(keys: FlatMap['keys']): Readonly<Record<string, string>> {
  return createParameters([[KEYS_PARAMETER, JSON.stringify(keys)]]) as Readonly<Record<string, string>>;
}

function isSame(a: FlatMap['keys'], b: FlatMap['keys']): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function failed(output: string, reason: string): ServingError {
  return new ServingError('model_failed', `Cannot return output "${output}": ${reason}`);
}
