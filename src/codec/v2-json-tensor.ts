import { DATATYPES, isDatatype, type Datatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { tensorFromBytesSteps } from '../core/tensor-bytes.ts';
import { createParameters, type Parameters, type Tensor, type TensorData } from '../core/tensor.ts';
import { openList, openObject, quoteName, readTextField, refuseDuplicate, takeNull } from './json/fields.ts';
import { readNumber } from './json/number.ts';
import type { JsonReader } from './json/reader.ts';
import { skipValue } from './json/skip.ts';
import { readTensorData } from './tensor-json-read.ts';
import { readParameters } from './v2-json-parameters.ts';

/** More dimensions than any framework knows; keeps a hostile shape small. */
const MAX_RANK = 255;
/** More inputs than any model has; each costs memory beyond its bytes. */
const MAX_TENSORS = 8192;
const NO_BYTES = new Uint8Array(0);
const BINARY_DATA_SIZE = 'binary_data_size';

/** A tensor as the JSON gives it: with its data, or with the size of its part of the raw bytes behind the JSON. */
export interface TensorFields {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly parameters?: Parameters;
  readonly data?: TensorData;
  /** `parameters.binary_data_size`, absent when the tensor has data. */
  readonly binarySize?: number;
  /** Names the tensor in messages, e.g. `input "x"`. */
  readonly what: string;
}

/** Reads the list at the cursor, `inputs` of a request or `outputs` of a response. Throws invalid_request for a name that comes twice. */
export function* readTensors(reader: JsonReader, role: 'input' | 'output', what: string, depth: number): Steps<TensorFields[]> {
  openList(reader, what, `${role}s`, depth);
  const tensors: TensorFields[] = [];
  const names = new Set<string>();
  for (let more = reader.firstElement(); more; more = reader.nextElement()) {
    if (tensors.length === MAX_TENSORS) throw invalidRequest(`Cannot decode ${what}: expected at most ${MAX_TENSORS} ${role}s, got more`);
    const tensor = yield* readTensor(reader, role, tensors.length, depth + 1);
    if (names.has(tensor.name)) throw invalidRequest(`Cannot decode ${what}: expected ${tensor.what} once, got it twice`);
    names.add(tensor.name);
    tensors.push(tensor);
    yield;
  }
  return tensors;
}

/**
 * Gives the tensors without data their part of the raw bytes (binary tensor data extension): in the order of the tensors, without gaps, to the last byte.
 *
 *     body | JSON, Inference-Header-Content-Length bytes | raw tensor | raw tensor | …
 *
 * `raw` is undefined when the body is JSON alone. `mayStay`: tensors may lie in it.
 */
export function* completeTensors(tensors: readonly TensorFields[], raw: Uint8Array | undefined, what: string, mayStay = false): Steps<Tensor[]> {
  let expected = 0;
  for (const { data, binarySize = 0, what: tensor } of tensors) {
    if (data === undefined && raw === undefined) {
      throw invalidRequest(`Cannot decode ${tensor}: expected "data", or raw bytes with the header Inference-Header-Content-Length, got neither`);
    }
    expected += binarySize;
  }
  const got = raw?.length ?? 0;
  if (got !== expected) throw invalidRequest(`Cannot decode ${what}: expected ${expected} bytes of raw tensors after the JSON, got ${got}`);

  const complete: Tensor[] = [];
  let from = 0;
  for (const { name, datatype, shape, parameters, data, binarySize = 0, what: tensor } of tensors) {
    const bytes = raw?.subarray(from, from + binarySize) ?? NO_BYTES;
    from += binarySize;
    complete.push({
      name,
      datatype,
      shape,
      data: data ?? (yield* tensorFromBytesSteps(datatype, shape, bytes, tensor, mayStay)),
      ...(parameters === undefined ? {} : { parameters }),
    });
  }
  return complete;
}

function* readTensor(reader: JsonReader, role: 'input' | 'output', index: number, depth: number): Steps<TensorFields> {
  let name: string | undefined;
  let datatype: Datatype | undefined;
  let shape: number[] | undefined;
  let parameters: Parameters | undefined;
  let data: TensorData | undefined;
  /** Where `data` starts, when it was skipped because datatype or shape come after it. */
  let dataPosition: number | undefined;
  let what = `${role}s[${index}]`;
  openObject(reader, what, depth);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    switch (key) {
      case 'name':
        refuseDuplicate(name, what, key);
        name = readTextField(reader, what, key);
        what = `${role} ${quoteName(name)}`;
        break;
      case 'datatype':
        refuseDuplicate(datatype, what, key);
        datatype = readDatatype(reader, what);
        break;
      case 'shape':
        refuseDuplicate(shape, what, key);
        shape = readShape(reader, what, depth + 1);
        break;
      case 'parameters':
        refuseDuplicate(parameters, what, key);
        if (!takeNull(reader)) parameters = yield* readParameters(reader, what, depth + 1);
        break;
      case 'data':
        refuseDuplicate(data ?? dataPosition, what, key);
        if (takeNull(reader)) break;
        if (datatype !== undefined && shape !== undefined) data = yield* readTensorData(reader, datatype, shape, what, depth);
        else {
          dataPosition = reader.pos;
          yield* skipValue(reader, depth);
        }
        break;
      default:
        yield* skipValue(reader, depth);
    }
  }
  if (name === undefined) throw missingField(what, 'name');
  if (datatype === undefined) throw missingField(what, 'datatype');
  if (shape === undefined) throw missingField(what, 'shape');
  if (dataPosition !== undefined) {
    const end = reader.pos;
    reader.pos = dataPosition;
    data = yield* readTensorData(reader, datatype, shape, what, depth);
    reader.pos = end;
  }
  const fields = { name, datatype, shape, what };
  if (data !== undefined) return { ...fields, ...withoutSize(parameters), data };
  return { ...fields, ...withoutSize(parameters), binarySize: readBinarySize(parameters, what) };
}

function readDatatype(reader: JsonReader, what: string): Datatype {
  const text = readTextField(reader, what, 'datatype');
  const datatype = text.toUpperCase();
  if (isDatatype(datatype)) return datatype;
  throw invalidRequest(`Cannot decode ${what}: expected "datatype" to be one of ${DATATYPES.join(', ')}, got ${quoteName(text)}`);
}

function readShape(reader: JsonReader, what: string, depth: number): number[] {
  openList(reader, what, 'shape', depth);
  const shape: number[] = [];
  for (let more = reader.firstElement(); more; more = reader.nextElement()) {
    const kind = reader.describeNext();
    if (kind !== 'a number') throw invalidRequest(`Cannot decode ${what}: expected "shape" to be a list of integers, got ${kind} in it`);
    const start = reader.pos;
    const size = readNumber(reader);
    if (!Number.isSafeInteger(size) || size < 0) {
      const text = reader.asciiSince(start).slice(0, 40);
      throw invalidRequest(`Cannot decode ${what}: expected "shape" to be a list of non-negative integers, got ${text} in it`);
    }
    if (shape.length === MAX_RANK) throw invalidRequest(`Cannot decode ${what}: expected at most ${MAX_RANK} dimensions, got more`);
    shape.push(size);
  }
  return shape;
}

function missingField(what: string, field: string): Error {
  return invalidRequest(`Cannot decode ${what}: expected a field "${field}", got none`);
}

function readBinarySize(parameters: Parameters | undefined, what: string): number {
  const size = parameters?.[BINARY_DATA_SIZE];
  if (size === undefined) throw invalidRequest(`Cannot decode ${what}: expected "data" or the parameter "${BINARY_DATA_SIZE}", got neither`);
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size;
  throw invalidRequest(
    `Cannot decode ${what}: expected the parameter "${BINARY_DATA_SIZE}" to be a number of bytes, got ${JSON.stringify(String(size)).slice(0, 40)}`,
  );
}

/** The size describes the body, not the tensor: it goes no further than the codec. */
function withoutSize(parameters: Parameters | undefined): { readonly parameters?: Parameters } {
  if (parameters === undefined) return {};
  if (!(BINARY_DATA_SIZE in parameters)) return { parameters };
  const kept = createParameters(Object.entries(parameters).filter(([key]) => key !== BINARY_DATA_SIZE));
  return Object.keys(kept).length === 0 ? {} : { parameters: kept };
}
