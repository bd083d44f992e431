import { isDatatype, type Datatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { RequestedOutput } from '../core/infer.ts';
import type { Steps } from '../core/steps.ts';
import {
  allocateData,
  createParameters,
  elementCount,
  formatShape,
  type Parameters,
  type ParameterValue,
  type Tensor,
  type TensorData,
} from '../core/tensor.ts';
import { bytesFromElements, tensorFromBytesSteps } from '../core/tensor-bytes.ts';
import { decodeContents, hasTypedContents } from './v2-proto-contents.ts';
import { readParameter } from './v2-proto-parameters.ts';
import { LENGTH, ProtoReader } from './v2-proto-reader.ts';
import { clip } from './v2-proto-text.ts';

/** The two messages differ in the number of their raw field and in requested outputs; tensors are laid out alike. */
export interface MessageLayout {
  readonly what: string;
  /** How messages for people call a tensor. */
  readonly noun: 'input' | 'output';
  readonly outputsField: number;
  readonly rawField: number;
  readonly rawName: string;
  readonly hasBinaryDataSize: boolean;
}

const ABSENT = 0;
export const REQUEST: MessageLayout = {
  what: 'ModelInferRequest',
  noun: 'input',
  outputsField: 6,
  rawField: 7,
  rawName: 'raw_input_contents',
  hasBinaryDataSize: false,
};
export const RESPONSE: MessageLayout = {
  what: 'ModelInferResponse',
  noun: 'output',
  outputsField: ABSENT,
  rawField: 6,
  rawName: 'raw_output_contents',
  hasBinaryDataSize: true,
};

/** Fields that both messages, their tensors, and requested outputs share. */
export const MODEL_NAME = 1;
export const MODEL_VERSION = 2;
export const ID = 3;
export const PARAMETERS = 4;
export const TENSORS = 5;
export const TENSOR = { name: 1, datatype: 2, shape: 3, parameters: 4, contents: 5 } as const;
export const REQUESTED = { name: 1, parameters: 2 } as const;

/** Name of the parameter that tells the byte length of a raw tensor (binary tensor data extension). */
export const BINARY_DATA_SIZE = 'binary_data_size';

/** More dimensions than any engine has; bounds what a shape of ones costs. */
const MAX_DIMENSIONS = 1024;
const SLICE_FIELDS = 1024;

/** Empty strings where the message has none. */
export interface MessageHead {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
}

/** A tensor whose elements are still in the message. */
interface TensorDraft {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Record<string, ParameterValue> | undefined;
  readonly contents: ProtoReader | undefined;
}

export interface MessageDraft extends MessageHead {
  readonly parameters: Parameters | undefined;
  readonly tensors: readonly TensorDraft[];
  readonly outputs: readonly RequestedOutput[];
  readonly raw: readonly Uint8Array[];
}

export function peekHead(bytes: Uint8Array, layout: MessageLayout): MessageHead {
  const reader = readerOf(bytes, layout);
  let modelName = '';
  let modelVersion = '';
  let id = '';
  while (reader.next()) {
    if (reader.field === MODEL_NAME) modelName = reader.string();
    else if (reader.field === MODEL_VERSION) modelVersion = reader.string();
    else if (reader.field === ID) id = reader.string();
    else reader.skip();
  }
  return { modelName, modelVersion, id };
}

/** Reads everything but the tensors' elements. */
export function* readMessage(bytes: Uint8Array, layout: MessageLayout): Steps<MessageDraft> {
  const reader = readerOf(bytes, layout);
  let modelName = '';
  let modelVersion = '';
  let id = '';
  let parameters: Record<string, ParameterValue> | undefined;
  const tensors: TensorDraft[] = [];
  const outputs: RequestedOutput[] = [];
  const raw: Uint8Array[] = [];
  const tensorNames = new Set<string>();
  const outputNames = new Set<string>();
  let fields = 0;
  while (reader.next()) {
    if (++fields % SLICE_FIELDS === 0) yield;
    const { field } = reader;
    if (field === MODEL_NAME) modelName = reader.string();
    else if (field === MODEL_VERSION) modelVersion = reader.string();
    else if (field === ID) id = reader.string();
    else if (field === PARAMETERS) readParameter(reader.message(), (parameters ??= createParameters()));
    else if (field === TENSORS)
      addUnique(tensors, readDraft(reader.message(`${layout.noun} ${tensors.length} of ${layout.what}`)), tensorNames, layout.noun);
    else if (field === layout.outputsField) addUnique(outputs, readRequestedOutput(reader.message()), outputNames, 'requested output');
    else if (field === layout.rawField) raw.push(readBytes(reader));
    else reader.skip();
  }
  return { modelName, modelVersion, id, parameters, tensors, outputs, raw };
}

/** Gives every tensor its elements. `mayStay`: raw ones may lie in the message. */
export function* readTensors(message: MessageDraft, layout: MessageLayout, mayStay = false): Steps<readonly Tensor[]> {
  const { tensors, raw } = message;
  const isRaw = raw.length > 0;
  if (isRaw && raw.length !== tensors.length) {
    throw invalidRequest(`Cannot decode ${layout.rawName}: expected ${tensors.length} entries, one per ${layout.noun}, got ${raw.length}`);
  }
  const result: Tensor[] = [];
  for (let index = 0; index < tensors.length; index++) {
    const draft = tensors[index];
    if (draft === undefined) continue;
    const what = `${layout.noun} "${clip(draft.name)}"`;
    const datatype = datatypeOf(draft.datatype, what);
    const bytes = raw[index];
    // MLServer sends empty ones beside raw contents.
    if (isRaw && draft.contents !== undefined && draft.contents.position < draft.contents.end) {
      throw invalidRequest(`Cannot decode ${what}: it has contents although the message has ${layout.rawName}, expected only one of them`);
    }
    const data =
      bytes === undefined
        ? yield* readTyped(draft, datatype, what, layout)
        : yield* tensorFromBytesSteps(datatype, draft.shape, bytes, what, mayStay);
    const parameters = isRaw ? withoutSize(draft.parameters) : draft.parameters;
    const { name, shape } = draft;
    result.push(parameters === undefined ? { name, datatype, shape, data } : { name, datatype, shape, data, parameters });
  }
  return result;
}

function readerOf(bytes: Uint8Array, layout: MessageLayout): ProtoReader {
  return new ProtoReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength, layout.what);
}

function readDraft(reader: ProtoReader): TensorDraft {
  let name = '';
  let datatype = '';
  const shape: number[] = [];
  let parameters: Record<string, ParameterValue> | undefined;
  let contents: ProtoReader | undefined;
  while (reader.next()) {
    switch (reader.field) {
      case TENSOR.name:
        name = reader.string();
        break;
      case TENSOR.datatype:
        datatype = reader.string();
        break;
      case TENSOR.shape:
        readShape(reader, shape);
        break;
      case TENSOR.parameters:
        readParameter(reader.message(), (parameters ??= createParameters()));
        break;
      case TENSOR.contents:
        if (contents !== undefined) throw reader.error('it has contents twice');
        contents = reader.message();
        break;
      default:
        reader.skip();
    }
  }
  return { name, datatype, shape, parameters, contents };
}

/** Packed or not. Dimensions beyond 2^53 lose digits here and are refused with the negative ones when the elements are counted. */
function readShape(reader: ProtoReader, shape: number[]): void {
  if (reader.wireType !== LENGTH) {
    shape.push(Number(reader.int64()));
  } else {
    const end = reader.packedEnd();
    while (reader.position < end && shape.length <= MAX_DIMENSIONS) {
      reader.varint();
      shape.push(Number(reader.signed()));
    }
    if (reader.position > end) throw reader.error('its shape ends inside a varint');
  }
  if (shape.length > MAX_DIMENSIONS) throw reader.error(`its shape has more than ${MAX_DIMENSIONS} dimensions`);
}

function readRequestedOutput(reader: ProtoReader): RequestedOutput {
  let name = '';
  let parameters: Record<string, ParameterValue> | undefined;
  while (reader.next()) {
    if (reader.field === REQUESTED.name) name = reader.string();
    else if (reader.field === REQUESTED.parameters) readParameter(reader.message(), (parameters ??= createParameters()));
    else reader.skip();
  }
  return parameters === undefined ? { name } : { name, parameters };
}

function readBytes(reader: ProtoReader): Uint8Array {
  const end = reader.length();
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return bytes;
}

/** Refuses the second of a name at once, so that millions of empty ones cost nothing. */
function addUnique<T extends { readonly name: string }>(list: T[], item: T, names: Set<string>, noun: string): void {
  if (names.has(item.name)) throw invalidRequest(`Cannot decode request: ${noun} "${clip(item.name)}" is there twice, expected each name once`);
  names.add(item.name);
  list.push(item);
}

/** Lower case is taken, too, as KServe does. */
function datatypeOf(text: string, what: string): Datatype {
  const datatype = text.toUpperCase();
  if (isDatatype(datatype)) return datatype;
  throw invalidRequest(`Cannot decode ${what}: unknown datatype "${clip(text)}"`);
}

function* readTyped(draft: TensorDraft, datatype: Datatype, what: string, layout: MessageLayout): Steps<TensorData> {
  const count = elementCount(draft.shape, what);
  if (!hasTypedContents(datatype)) {
    if (count === 0 && draft.contents === undefined) return allocateData(datatype, 0);
    throw invalidRequest(`Cannot decode ${what}: ${datatype} has no typed contents, send ${layout.rawName}`);
  }
  if (draft.contents !== undefined) return yield* decodeContents(datatype, draft.shape, count, draft.contents, what);
  if (count > 0) {
    throw invalidRequest(
      `Cannot decode ${what}: expected ${count} elements for ${datatype} ${formatShape(draft.shape)}, got neither contents nor ${layout.rawName}`,
    );
  }
  return datatype === 'BYTES' ? bytesFromElements([]) : allocateData(datatype, 0);
}

function withoutSize(parameters: Record<string, ParameterValue> | undefined): Parameters | undefined {
  if (parameters === undefined) return undefined;
  delete parameters[BINARY_DATA_SIZE];
  return Object.keys(parameters).length > 0 ? parameters : undefined;
}
