import { isServingError, ServingError } from '../core/errors.ts';
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
import { writeNamed, writeRows } from './v1-response.ts';
import { finishBody } from './v2-json-write.ts';

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;

/** A server's answer is trusted this far. */
const MAX_DEPTH = 128;

/** Of an output that v1 leaves without a name; KServe's own. */
const ONLY_OUTPUT = 'output-0';

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
    return runSteps(decodeResponse(body, name));
  } catch (thrown) {
    if (isServingError(thrown) && thrown.reason === 'invalid_request') throw new ServingError('upstream_failed', thrown.message, { cause: thrown });
    throw thrown;
  }
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

function* decodeResponse(body: Uint8Array, name: string): Steps<readonly Tensor[] | undefined> {
  yield* checkUtf8(body, 'response body');
  const reader = new JsonReader(body, { what: 'response body', maxDepth: MAX_DEPTH });
  let at: number | undefined;
  if (reader.peek() === OPEN_OBJECT) {
    openObject(reader, 'response', 1);
    for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
      if (key === 'predictions' || (key === 'outputs' && at === undefined)) at = reader.pos;
      yield* skipValue(reader, 1);
    }
  } else yield* skipValue(reader, 0);
  reader.expectEnd();
  if (at === undefined) return undefined;
  // All of it is known to be JSON by now.
  reader.pos = at;
  const columns = readColumns(reader, name);
  const tensors = columns?.map((column) => column.finish());
  return tensors?.every((tensor) => tensor !== undefined) === true ? tensors : undefined;
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
