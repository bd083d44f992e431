import { invalidRequest, isServingError, ServingError } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import { runSteps, type Steps } from '../core/steps.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EncodedBody } from './encoded-body.ts';
import { openObject } from './json/fields.ts';
import { JsonReader } from './json/reader.ts';
import { skipValue } from './json/skip.ts';
import { checkUtf8 } from './json/utf8.ts';
import { JsonWriter } from './json/writer.ts';
import { AnswerColumn } from './v1-answer-column.ts';
import type { PredictRequest } from './v1-request.ts';
import { writeNamed, writeRows } from './v1-response.ts';
import { finishBody } from './v2-json-write.ts';

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;

/** A server's answer is trusted this far. */
const MAX_DEPTH = 128;

/** Of tensors that v1 leaves without a name; KServe's own. */
const ONLY_OUTPUT = 'output-0';
const ONLY_INPUT = 'input-0';

/**
 * Encodes a request for a v1 server: `{"instances":[…]}` with one entry per row where all inputs have the same rows (the row of the only input, else an object
 * `{name: row}`), `{"inputs":{name: tensor}}` where they do not. BYTES are strings, `{"b64": "…"}` where they are not UTF-8.
 */
export function encodePredictRequest({ inputs }: InferRequest): EncodedBody {
  return runSteps(encodeRequest(inputs));
}

/**
 * Reads the tensors of a v1 answer from `predictions` or `outputs`: nested lists, lists of `{name: row}`, or an object `{name: tensor}`. Whole numbers are INT64
 * when all are written without a fraction, else FP64; booleans are BOOL, strings BYTES. `name` is that of an output without one, `output-0` when absent. Undefined
 * when the answer is JSON that no tensors can hold. Throws upstream_failed when it is not JSON.
 */
export function decodePredictResponse(body: Uint8Array, name: string = ONLY_OUTPUT): readonly Tensor[] | undefined {
  try {
    return runSteps(readOpenTensors(body, { what: 'response', fields: ['predictions', 'outputs'], name, maxDepth: MAX_DEPTH }))?.tensors;
  } catch (thrown) {
    if (isServingError(thrown) && thrown.reason === 'invalid_request') throw new ServingError('upstream_failed', thrown.message, { cause: thrown });
    throw thrown;
  }
}

/**
 * Decodes a request to a model whose inputs nobody knows: `instances` or `inputs` as lists of numbers, of `{name: row}`, or an object `{name: tensor}`. Numbers
 * are FP64, as whoever changes them needs it; v1 has no datatypes to keep. Throws invalid_request.
 */
export function* decodeOpenPredictRequest(
  body: Uint8Array,
  { modelName, maxDepth }: { readonly modelName: string; readonly maxDepth: number },
): Steps<PredictRequest> {
  const found = yield* readOpenTensors(body, { what: 'request', fields: ['instances', 'inputs'], name: ONLY_INPUT, maxDepth });
  if (found === undefined) throw invalidRequest('Cannot decode request: expected rows of equal size in "instances" or "inputs"');
  const inputs = found.tensors.map(asFloats);
  return { request: { modelName, inputs }, form: found.isNamed ? 'columns' : 'instances', rows: inputs[0]?.shape[0] ?? 1 };
}

function asFloats(tensor: Tensor): Tensor {
  const { data } = tensor;
  return data instanceof BigInt64Array ? { ...tensor, datatype: 'FP64', data: Float64Array.from(data, Number) } : tensor;
}

interface OpenTensors {
  readonly tensors: readonly Tensor[];
  /** They came as an object `{name: tensor}`. */
  readonly isNamed: boolean;
}

interface OpenDocument {
  readonly what: 'request' | 'response';
  /** Of these the first counts. */
  readonly fields: readonly [string, string];
  /** Of a tensor without one. */
  readonly name: string;
  readonly maxDepth: number;
}

function* encodeRequest(inputs: readonly Tensor[]): Steps<EncodedBody> {
  const writer = new JsonWriter();
  const rows = inputs[0]?.shape[0];
  if (rows !== undefined && inputs.every(({ shape }) => shape[0] === rows)) {
    writer.ascii('{"instances":');
    yield* writeRows(writer, inputs, rows);
  } else {
    writer.ascii('{"inputs":');
    yield* writeNamed(writer, inputs);
  }
  writer.ascii('}');
  return finishBody(writer, new Set());
}

/** Undefined when the document is JSON that no tensors can hold. */
function* readOpenTensors(body: Uint8Array, { what, fields, name, maxDepth }: OpenDocument): Steps<OpenTensors | undefined> {
  yield* checkUtf8(body, `${what} body`);
  const reader = new JsonReader(body, { what: `${what} body`, maxDepth });
  let at: number | undefined;
  if (reader.peek() === OPEN_OBJECT) {
    openObject(reader, what, 1);
    for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
      if (key === fields[0] || (key === fields[1] && at === undefined)) at = reader.pos;
      yield* skipValue(reader, 1);
    }
  } else yield* skipValue(reader, 0);
  reader.expectEnd();
  if (at === undefined) return undefined;
  // All of it is known to be JSON by now.
  reader.pos = at;
  const isNamed = reader.peek() === OPEN_OBJECT;
  const tensors = readColumns(reader, name)?.map((column) => column.finish());
  return tensors?.every((tensor) => tensor !== undefined) === true ? { tensors, isNamed } : undefined;
}

function readColumns(reader: JsonReader, name: string): readonly AnswerColumn[] | undefined {
  const first = reader.peek();
  if (first === OPEN_OBJECT) return readNamed(reader);
  if (first === OPEN_LIST && startsWithNamedRow(reader)) return readNamedRows(reader);
  const column = new AnswerColumn(name);
  return column.read(reader, 0) ? [column] : undefined;
}

function readNamed(reader: JsonReader): readonly AnswerColumn[] | undefined {
  const columns: AnswerColumn[] = [];
  reader.take(OPEN_OBJECT);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    const column = new AnswerColumn(key);
    if (!column.read(reader, 0)) return undefined;
    columns.push(column);
  }
  return columns;
}

/** `{"b64": …}` alone is a value. */
function startsWithNamedRow(reader: JsonReader): boolean {
  const start = reader.pos++;
  const isNamed = reader.take(OPEN_OBJECT) && reader.firstKey() !== 'b64';
  reader.pos = start;
  return isNamed;
}

function readNamedRows(reader: JsonReader): readonly AnswerColumn[] | undefined {
  const columns = new Map<string, AnswerColumn>();
  let rows = 0;
  reader.take(OPEN_LIST);
  for (let more = reader.firstElement(); more; more = reader.nextElement()) {
    if (!reader.take(OPEN_OBJECT)) return undefined;
    let seen = 0;
    for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
      let column = columns.get(key);
      if (column === undefined && rows === 0) columns.set(key, (column = new AnswerColumn(key)));
      if (column?.read(reader, 1) !== true) return undefined;
      seen++;
    }
    if (seen !== columns.size) return undefined;
    rows++;
  }
  for (const column of columns.values()) column.setSize(0, rows);
  return [...columns.values()];
}
