import { elementBytes } from '../../core/datatype.ts';
import { invalidRequest, ServingError } from '../../core/errors.ts';
import { takeData } from '../../core/release.ts';
import { dataByteLength, elementCount, formatShape, isBytesData, type BytesData, type Tensor } from '../../core/tensor.ts';
import { addressOf, copyFromNative, copyToNative, withHandles, type Handles, type Pointer } from '../native/index.ts';
import { datatypeOfElement, elementOfDatatype } from './element-types.ts';
import { MAX_RANK, type OrtRuntime } from './ort-runtime.ts';

/** Typed arrays up to this many bytes may lie on V8's movable heap, so they are copied. */
const MAX_MOVABLE_BYTES = 64;

/**
 * An OrtValue of a tensor. Data of more than 64 bytes is used where it lies: the caller keeps the tensor referenced until the run has ended. Smaller data
 * and strings are copied. Throws invalid_request when shape and data disagree: native code trusts the shape.
 */
export function createInput(runtime: OrtRuntime, handles: Handles, tensor: Tensor): Pointer {
  const { name, datatype, shape, data } = tensor;
  if (shape.length > MAX_RANK) throw invalidRequest(`Cannot run input "${name}": expected at most ${MAX_RANK} dimensions, got ${shape.length}`);
  if (datatype === 'BYTES') return createStrings(runtime, handles, tensor);
  const expected = elementCount(shape, `input "${name}"`) * elementBytes(datatype);
  if (isBytesData(data) || data.byteLength !== expected) throw disagreement(tensor, `${expected} bytes`, `${dataByteLength(data)}`);
  const { api } = runtime;
  const element = elementOfDatatype(datatype);
  if (expected > MAX_MOVABLE_BYTES) {
    return runtime.create(handles, api.ReleaseValue, (out) =>
      api.CreateTensorWithDataAsOrtValue(runtime.cpuMemory, addressOf(data), expected, runtime.shape(shape), shape.length, element, out),
    );
  }
  const value = createEmpty(runtime, handles, shape, element);
  if (expected > 0)
    copyToNative(
      runtime.pointer((out) => api.GetTensorMutableData(value, out)),
      data,
    );
  return value;
}

function createEmpty(runtime: OrtRuntime, handles: Handles, shape: readonly number[], element: number): Pointer {
  const { api } = runtime;
  return runtime.create(handles, api.ReleaseValue, (out) =>
    api.CreateTensorAsOrtValue(runtime.allocator, runtime.shape(shape), shape.length, element, out),
  );
}

/** Byte by byte, so that NULs and bytes that are no UTF-8 arrive as they are. */
function createStrings(runtime: OrtRuntime, handles: Handles, tensor: Tensor): Pointer {
  const { name, shape, data } = tensor;
  const count = elementCount(shape, `input "${name}"`);
  if (!isBytesData(data) || data.offsets.length !== count + 1) throw disagreement(tensor, `${count} elements`, 'another number');
  const { api } = runtime;
  const value = createEmpty(runtime, handles, shape, elementOfDatatype('BYTES'));
  const { bytes, offsets } = data;
  for (let i = 0; i < count; i++) {
    const start = (offsets[i] ?? 0) + 4;
    const end = offsets[i + 1] ?? 0;
    if (start > end || end > bytes.length) throw disagreement(tensor, `element ${i} inside ${bytes.length} bytes`, `${start} to ${end}`);
    const element = runtime.pointer((out) => api.GetResizedStringTensorElementBuffer(value, i, end - start, out));
    copyToNative(element, bytes.subarray(start, end));
  }
  return value;
}

function disagreement(tensor: Tensor, expected: string, got: string): ServingError {
  return invalidRequest(`Cannot run input "${tensor.name}": expected ${expected} for ${tensor.datatype} ${formatShape(tensor.shape)}, got ${got}`);
}

/** Copies a tensor OrtValue into a buffer of its own. */
export function readTensor(runtime: OrtRuntime, value: Pointer, name: string): Tensor {
  const { api } = runtime;
  return withHandles((handles) => {
    const info = runtime.create(handles, api.ReleaseTensorTypeAndShapeInfo, (out) => api.GetTensorTypeAndShape(value, out));
    const element = runtime.int32((out) => api.GetTensorElementType(info, out));
    const datatype = datatypeOfElement(element);
    if (datatype === undefined) throw new ServingError('model_failed', `Cannot read output "${name}": ONNX element type ${element} has no datatype`);
    const rank = runtime.number((out) => api.GetDimensionsCount(info, out));
    const shape = Array.from(
      runtime.words(rank, (out) => api.GetDimensions(info, out, rank)),
      Number,
    );
    const count = elementCount(shape, `output "${name}"`);
    if (datatype === 'BYTES') return { name, datatype, shape, data: readStrings(runtime, value, count) };
    const data = takeData(datatype, count);
    if (count > 0)
      copyFromNative(
        data,
        runtime.pointer((out) => api.GetTensorMutableData(value, out)),
      );
    return { name, datatype, shape, data };
  });
}

/** ONNX Runtime gives the strings joined, and where each begins; the wire form has a length before each. */
function readStrings(runtime: OrtRuntime, value: Pointer, count: number): BytesData {
  const { api } = runtime;
  const total = runtime.number((out) => api.GetStringTensorDataLength(value, out));
  const joined = new Uint8Array(new ArrayBuffer(total));
  const begins = new BigUint64Array(new ArrayBuffer(count * 8));
  if (count > 0) runtime.check(api.GetStringTensorContent(value, joined, total, begins, count));
  const bytes = new Uint8Array(new ArrayBuffer(total + 4 * count));
  const view = new DataView(bytes.buffer);
  const offsets = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) {
    const start = Number(begins[i]);
    const end = i + 1 < count ? Number(begins[i + 1]) : total;
    const at = start + 4 * i;
    offsets[i] = at;
    view.setUint32(at, end - start, true);
    bytes.set(joined.subarray(start, end), at + 4);
  }
  offsets[count] = bytes.length;
  return { bytes, offsets };
}
