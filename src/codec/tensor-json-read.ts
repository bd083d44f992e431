import type { Datatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { elementCount, formatShape, type TensorData } from '../core/tensor.ts';
import { ArrayWalker } from './json/array-walker.ts';
import type { JsonReader } from './json/reader.ts';
import { BigIntSink } from './tensor-json-bigints.ts';
import { BoolSink } from './tensor-json-bools.ts';
import { NumberSink } from './tensor-json-numbers.ts';
import type { ElementSink } from './tensor-json-sink.ts';
import { StringSink } from './tensor-json-strings.ts';

const OPEN = 0x5b;

export function createElementSink(datatype: Datatype, capacity: number, options: { readonly allowsBase64: boolean }): ElementSink {
  switch (datatype) {
    case 'BYTES':
      return new StringSink(capacity, options.allowsBase64);
    case 'BOOL':
      return new BoolSink(capacity);
    case 'INT64':
    case 'UINT64':
      return new BigIntSink(datatype, capacity);
    default:
      return new NumberSink(datatype, capacity);
  }
}

/** Most elements the rest of the document can hold: each takes a byte and a comma. Keeps a huge shape over little data from reserving memory. */
export function mostElements(reader: JsonReader): number {
  return (reader.bytes.length - reader.pos + 1) >>> 1;
}

/**
 * Reads `data` of a v2 tensor at the cursor: a flat list of as many elements as the shape has, or lists nested exactly as the shape says.
 * Throws invalid_request naming the tensor. `depth` containers are open around it.
 */
export function* readTensorData(reader: JsonReader, datatype: Datatype, shape: readonly number[], what: string, depth: number): Steps<TensorData> {
  const count = elementCount(shape, what);
  if (reader.peek() !== OPEN) throw invalidRequest(`Cannot decode ${what}: expected "data" to be a list, got ${reader.describeNext()}`);
  const sink = createElementSink(datatype, Math.min(count, mostElements(reader)), { allowsBase64: false });
  const isNested = shape.length > 1 && isListOfLists(reader);
  yield* sink.read(new ArrayWalker(reader, what, isNested ? [...shape] : [-1], depth));
  if (sink.length !== count) {
    throw invalidRequest(`Cannot decode ${what}: expected ${count} elements for ${datatype} ${formatShape(shape)}, got ${sink.length}`);
  }
  return sink.finish();
}

/** Looks past the opening bracket at the cursor without moving it. */
function isListOfLists(reader: JsonReader): boolean {
  const start = reader.pos;
  reader.pos++;
  const isNested = reader.peek() === OPEN;
  reader.pos = start;
  return isNested;
}
