import { JsonReader } from '../../../../src/codec/json/reader.ts';
import { readNumber } from '../../../../src/codec/json/number.ts';
import { readLongText, skipValue } from '../../../../src/codec/json/skip.ts';
import { checkUtf8 } from '../../../../src/codec/json/utf8.ts';
import { runSteps, type Steps } from '../../../../src/core/steps.ts';

const OPTIONS = { what: 'document', maxDepth: 64 };

/** Parses a whole document with the reader's primitives, as JSON.parse would. */
export function parseDocument(bytes: Uint8Array): unknown {
  return runSteps(parse(bytes));
}

/** Checks a whole document's syntax without reading its values. */
export function skipDocument(bytes: Uint8Array, maxDepth = 64): void {
  runSteps(skip(bytes, maxDepth));
}

function* parse(bytes: Uint8Array): Steps<unknown> {
  yield* checkUtf8(bytes, 'document');
  const reader = new JsonReader(bytes, OPTIONS);
  const value = yield* readValue(reader, 0);
  reader.expectEnd();
  return value;
}

function* skip(bytes: Uint8Array, maxDepth: number): Steps<void> {
  yield* checkUtf8(bytes, 'document');
  const reader = new JsonReader(bytes, { ...OPTIONS, maxDepth });
  yield* skipValue(reader, 0);
  reader.expectEnd();
}

function* readValue(reader: JsonReader, depth: number): Steps<unknown> {
  switch (reader.describeNext()) {
    case 'an object': {
      reader.checkDepth(depth + 1);
      reader.pos++;
      const entries: [string, unknown][] = [];
      for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) entries.push([key, yield* readValue(reader, depth + 1)]);
      return Object.fromEntries(entries);
    }
    case 'a list': {
      reader.checkDepth(depth + 1);
      reader.pos++;
      const list: unknown[] = [];
      for (let more = reader.firstElement(); more; more = reader.nextElement()) list.push(yield* readValue(reader, depth + 1));
      return list;
    }
    case 'a string':
      return yield* readLongText(reader);
    case 'a number':
      return readNumber(reader);
    default:
      if (reader.takeLiteral('true')) return true;
      if (reader.takeLiteral('false')) return false;
      if (reader.takeLiteral('null')) return null;
      return reader.fail('a value');
  }
}
