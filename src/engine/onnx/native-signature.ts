import type { Datatype } from '../../core/datatype.ts';
import { ServingError } from '../../core/errors.ts';
import type { TensorMetadata } from '../../core/metadata.ts';
import { readCString, withHandles, type Handles, type Pointer } from '../native/index.ts';
import { datatypeOfElement } from './element-types.ts';
import type { OrtRuntime } from './ort-runtime.ts';
import { rankedMetadata, unrankedMetadata } from './tensor-shape.ts';

/** What ONNX Runtime gives for an output, before it is flattened to one tensor. */
export type OutputKind = 'tensor' | 'tensors' | 'map' | 'maps';

export interface NativeOutput {
  readonly kind: OutputKind;
  readonly metadata: TensorMetadata;
}

export interface NativeSignature {
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly NativeOutput[];
}

/** `ONNXType`. */
const TENSOR = 1;
const SEQUENCE = 2;
const MAP = 3;
const OPTIONAL = 6;

/**
 * Inputs and outputs of a session; initializers that a caller may override are not among the inputs. `mapKeys` gives the columns of maps where the file
 * names them. Throws model_failed for a type that cannot be served.
 */
export function readSignature(runtime: OrtRuntime, session: Pointer, mapKeys: ReadonlyMap<string, readonly unknown[]>): NativeSignature {
  const { api, allocator } = runtime;
  const nameOf = (getName: typeof api.SessionGetInputName, index: number): string =>
    withHandles((handles) => {
      const text = runtime.pointer((out) => getName(session, index, allocator, out));
      return readCString(handles.own(text, (pointer) => api.AllocatorFree(allocator, pointer)));
    });
  const inputs = Array.from({ length: runtime.number((out) => api.SessionGetInputCount(session, out)) }, (_, index) =>
    withHandles((handles) => {
      const name = nameOf(api.SessionGetInputName, index);
      const info = runtime.create(handles, api.ReleaseTypeInfo, (out) => api.SessionGetInputTypeInfo(session, index, out));
      return readInput(runtime, info, name);
    }),
  );
  const outputs = Array.from({ length: runtime.number((out) => api.SessionGetOutputCount(session, out)) }, (_, index) =>
    withHandles((handles) => {
      const name = nameOf(api.SessionGetOutputName, index);
      const info = runtime.create(handles, api.ReleaseTypeInfo, (out) => api.SessionGetOutputTypeInfo(session, index, out));
      return readOutput(runtime, handles, info, name, mapKeys.get(name)?.length ?? -1);
    }),
  );
  return { inputs, outputs };
}

function readInput(runtime: OrtRuntime, info: Pointer, name: string): TensorMetadata {
  if (typeOf(runtime, info) !== TENSOR) throw unservable(`input "${name}" is no tensor`);
  return readTensorInfo(runtime, info, name, `input "${name}"`);
}

function readOutput(runtime: OrtRuntime, handles: Handles, info: Pointer, name: string, columns: number): NativeOutput {
  const { api } = runtime;
  const what = `output "${name}"`;
  const type = typeOf(runtime, info);
  if (type === TENSOR) return { kind: 'tensor', metadata: readTensorInfo(runtime, info, name, what) };
  if (type === MAP) return { kind: 'map', metadata: { name, datatype: readMapDatatype(runtime, handles, info, what), shape: [columns] } };
  if (type === OPTIONAL) {
    const optional = runtime.pointer((out) => api.CastTypeInfoToOptionalTypeInfo(info, out));
    const contained = runtime.create(handles, api.ReleaseTypeInfo, (out) => api.GetOptionalContainedTypeInfo(optional, out));
    return readOutput(runtime, handles, contained, name, columns);
  }
  if (type !== SEQUENCE) throw unservable(`${what} is neither a tensor nor a sequence, map or optional`);
  const sequence = runtime.pointer((out) => api.CastTypeInfoToSequenceTypeInfo(info, out));
  const element = runtime.create(handles, api.ReleaseTypeInfo, (out) => api.GetSequenceElementType(sequence, out));
  const elementType = typeOf(runtime, element);
  if (elementType === MAP)
    return { kind: 'maps', metadata: { name, datatype: readMapDatatype(runtime, handles, element, what), shape: [-1, columns] } };
  if (elementType !== TENSOR) throw unservable(`${what} is a sequence of neither tensors nor maps`);
  const item = readTensorInfo(runtime, element, name, what);
  if (isUnranked(runtime, element)) return { kind: 'tensors', metadata: item };
  return {
    kind: 'tensors',
    metadata: rankedMetadata(name, item.datatype, [-1, ...item.shape], [undefined, ...(item.dimensionNames ?? item.shape.map(() => undefined))]),
  };
}

function readMapDatatype(runtime: OrtRuntime, handles: Handles, info: Pointer, what: string): Datatype {
  const { api } = runtime;
  const map = runtime.pointer((out) => api.CastTypeInfoToMapTypeInfo(info, out));
  const value = runtime.create(handles, api.ReleaseTypeInfo, (out) => api.GetMapValueType(map, out));
  return readTensorInfo(runtime, value, '', what).datatype;
}

function typeOf(runtime: OrtRuntime, info: Pointer): number {
  return runtime.int32((out) => runtime.api.GetOnnxTypeFromTypeInfo(info, out));
}

function isUnranked(runtime: OrtRuntime, info: Pointer): boolean {
  return !runtime.api.TensorTypeAndShape_HasShape(runtime.pointer((out) => runtime.api.CastTypeInfoToTensorInfo(info, out)));
}

function readTensorInfo(runtime: OrtRuntime, info: Pointer, name: string, what: string): TensorMetadata {
  const { api } = runtime;
  const tensor = runtime.pointer((out) => api.CastTypeInfoToTensorInfo(info, out));
  const element = runtime.int32((out) => api.GetTensorElementType(tensor, out));
  const datatype = datatypeOfElement(element);
  if (datatype === undefined) throw unservable(`${what} has ONNX element type ${element}, which has no Open Inference Protocol datatype`);
  if (!api.TensorTypeAndShape_HasShape(tensor)) return unrankedMetadata(name, datatype);
  const rank = runtime.number((out) => api.GetDimensionsCount(tensor, out));
  const shape = Array.from(
    runtime.words(rank, (out) => api.GetDimensions(tensor, out, rank)),
    (dimension) => (dimension < 0n ? -1 : Number(dimension)),
  );
  const names = Array.from(runtime.words(rank, (out) => api.GetSymbolicDimensions(tensor, out, rank)));
  return rankedMetadata(
    name,
    datatype,
    shape,
    names.map((text, index) => (shape[index] === -1 && text !== 0n ? readCString(BigInt.asUintN(64, text)) || undefined : undefined)),
  );
}

function unservable(reason: string): ServingError {
  return new ServingError('model_failed', reason);
}
