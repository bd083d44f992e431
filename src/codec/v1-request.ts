import { invalidRequest } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import type { Signature, TensorMetadata } from '../core/metadata.ts';
import type { Steps } from '../core/steps.ts';
import type { Tensor } from '../core/tensor.ts';
import { openObject, quoteName, refuseDuplicate } from './json/fields.ts';
import { JsonReader } from './json/reader.ts';
import { skipValue } from './json/skip.ts';
import { checkUtf8 } from './json/utf8.ts';
import { ColumnReader } from './v1-column.ts';

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;
/** Rows read between two pauses. */
const ROWS_PER_STEP = 128;

/** A v1 request as tensors, and what its answer must look like. */
export interface PredictRequest {
  readonly request: InferRequest;
  /** `instances`: a list with one value per row, answered as `predictions`. `columns`: an object of named tensors, answered as `outputs`. */
  readonly form: 'instances' | 'columns';
  /** First dimension of the inputs; 1 when there is none. */
  readonly rows: number;
}

export interface DecodePredictOptions {
  readonly modelName: string;
  readonly modelVersion?: string;
  /** Names, datatypes and ranks of the inputs; sizes are left for others to check. */
  readonly signature: Signature;
  /** Most lists and objects that may be open at once. */
  readonly maxDepth: number;
}

/**
 * Decodes a request of the v1 protocol. `instances`, or `inputs` with a list, holds one value per row: nested lists for a model with one input, else, or
 * when the client likes, an object `{name: value}`. `inputs` with an object holds whole tensors by name (TensorFlow Serving's columnar form). Datatypes
 * and ranks are the signature's, shapes follow from the nesting: a row never stands alone for a batch of one. Binary values are `{"b64": "…"}`.
 * Other fields, `signature_name` among them, are ignored. Throws invalid_request only.
 */
export function* decodePredictRequest(body: Uint8Array, options: DecodePredictOptions): Steps<PredictRequest> {
  yield* checkUtf8(body, 'request body');
  const reader = new JsonReader(body, { what: 'request body', maxDepth: options.maxDepth });
  let decoded: DecodedInputs | undefined;
  openObject(reader, 'request', 1);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    if (key !== 'instances' && key !== 'inputs') {
      yield* skipValue(reader, 1);
      continue;
    }
    if (decoded !== undefined && decoded.field !== key) throw invalidRequest('Cannot decode request: expected "instances" or "inputs", got both');
    refuseDuplicate(decoded, 'request', key);
    decoded = yield* readInputs(reader, key, options.signature.inputs);
  }
  reader.expectEnd();
  if (decoded === undefined) throw invalidRequest('Cannot decode request: expected a field "instances" or "inputs", got neither');
  const { modelName, modelVersion } = options;
  const request = { modelName, ...(modelVersion === undefined ? {} : { modelVersion }), inputs: decoded.inputs };
  return { request, form: decoded.form, rows: decoded.inputs[0]?.shape[0] ?? 1 };
}

interface DecodedInputs {
  readonly field: 'instances' | 'inputs';
  readonly form: PredictRequest['form'];
  readonly inputs: readonly Tensor[];
}

function* readInputs(reader: JsonReader, field: 'instances' | 'inputs', signature: readonly TensorMetadata[]): Steps<DecodedInputs> {
  const byte = reader.peek();
  if (field === 'inputs' && byte === OPEN_OBJECT) return { field, form: 'columns', inputs: yield* readColumns(reader, signature) };
  // KServe's own words, which its clients and tests look for.
  if (byte !== OPEN_LIST) throw invalidRequest(`Expected "${field}" to be a list${field === 'inputs' ? ' or an object of named inputs' : ''}`);
  return { field, form: 'instances', inputs: yield* readRows(reader, field, signature) };
}

function* readColumns(reader: JsonReader, signature: readonly TensorMetadata[]): Steps<Tensor[]> {
  const read = new Map<TensorMetadata, Tensor>();
  openObject(reader, '"inputs"', 2);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    const input = findInput(signature, key, '"inputs"');
    refuseDuplicate(read.get(input), '"inputs"', key);
    const column = new ColumnReader(reader, input, { isWhole: true, depth: 2 });
    if (!column.tryReadValue()) yield* column.readRest();
    read.set(input, column.finish());
  }
  return signature.flatMap((input) => read.get(input) ?? []);
}

function* readRows(reader: JsonReader, field: string, signature: readonly TensorMetadata[]): Steps<Tensor[]> {
  const [first, ...others] = signature;
  if (first === undefined) throw invalidRequest(`Cannot decode "${field}": expected no rows for a model without inputs, got a list`);
  for (const { name, datatype, shape } of signature) {
    if (shape.length === 0) {
      throw invalidRequest(
        `Cannot decode "${field}": input ${quoteName(name)} is one ${datatype} without rows; send "inputs" with an object of named inputs`,
      );
    }
  }
  const isNamed = startsWithNamedRow(reader, first, others.length === 0);
  if (others.length === 0 && !isNamed) {
    const column = new ColumnReader(reader, first, { isWhole: true, depth: 1 });
    if (!column.tryReadValue()) yield* column.readRest();
    return [column.finish()];
  }
  return yield* readNamedRows(reader, field, signature);
}

/** Looks at the first element of the list at the cursor without moving it. An empty list has no named row. */
function startsWithNamedRow(reader: JsonReader, input: TensorMetadata, isOnlyInput: boolean): boolean {
  const start = reader.pos++;
  let isNamed = false;
  if (reader.peek() === OPEN_OBJECT) {
    reader.pos++;
    isNamed = !isOnlyInput || input.datatype !== 'BYTES' || reader.firstKey() !== 'b64' || input.name === 'b64';
  }
  reader.pos = start;
  return isNamed;
}

function* readNamedRows(reader: JsonReader, field: string, signature: readonly TensorMetadata[]): Steps<Tensor[]> {
  reader.checkDepth(2);
  const columns = new Map(signature.map((input) => [input, new ColumnReader(reader, input, { isWhole: false, depth: 3 })]));
  let rows = 0;
  reader.take(OPEN_LIST);
  for (let more = reader.firstElement(); more; more = reader.nextElement()) {
    const what = `"${field}"[${rows}]`;
    openObject(reader, what, 3);
    for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
      const column = columns.get(findInput(signature, key, what));
      if (column === undefined) continue;
      if (column.values > rows) refuseDuplicate(column, what, key);
      if (!column.tryReadValue()) yield* column.readRest();
    }
    rows++;
    for (const [{ name }, column] of columns) {
      if (column.values < rows) throw invalidRequest(`Cannot decode ${what}: expected a value for input ${quoteName(name)}, got none`);
    }
    if (rows % ROWS_PER_STEP === 0) yield;
  }
  return [...columns.values()].map((column) => column.finish());
}

function findInput(signature: readonly TensorMetadata[], name: string, what: string): TensorMetadata {
  const input = signature.find((candidate) => candidate.name === name);
  if (input !== undefined) return input;
  const known = signature.slice(0, 8).map((candidate) => quoteName(candidate.name));
  throw invalidRequest(`Cannot decode ${what}: expected names among ${known.join(', ')}, got ${quoteName(name)}`);
}
