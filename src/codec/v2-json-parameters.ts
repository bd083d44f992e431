import { BIGINT_RANGE } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { createParameters, type Parameters, type ParameterValue } from '../core/tensor.ts';
import { openObject, quoteName } from './json/fields.ts';
import { integerFromDecimal } from './json/integer.ts';
import { readNumber } from './json/number.ts';
import type { JsonReader } from './json/reader.ts';
import { readLongText } from './json/skip.ts';

const MAX_PARAMETERS = 1024;

/**
 * Reads a `parameters` object (OIP "parameters"): values are strings, numbers and booleans. Integers beyond 2^53 that 64 bits hold become bigint.
 * The result has no prototype, so `__proto__` is a key like any other.
 */
export function* readParameters(reader: JsonReader, what: string, depth: number): Steps<Parameters> {
  openObject(reader, `"parameters" of ${what}`, depth);
  const parameters = createParameters();
  let count = 0;
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    if (key in parameters) throw invalidRequest(`Cannot decode ${what}: expected parameter ${quoteName(key)} once, got it twice`);
    if (++count > MAX_PARAMETERS) throw invalidRequest(`Cannot decode ${what}: expected at most ${MAX_PARAMETERS} parameters, got more`);
    parameters[key] = yield* readParameterValue(reader, what, key);
  }
  return parameters;
}

function* readParameterValue(reader: JsonReader, what: string, key: string): Steps<ParameterValue> {
  const kind = reader.describeNext();
  if (kind === 'a string') return yield* readLongText(reader);
  if (kind === 'a number') return readParameterNumber(reader, what, key);
  if (kind === 'a boolean') {
    if (reader.takeLiteral('true')) return true;
    if (reader.takeLiteral('false')) return false;
    reader.fail('a value');
  }
  throw invalidRequest(`Cannot decode ${what}: expected parameter ${quoteName(key)} to be a string, a number or a boolean, got ${kind}`);
}

function readParameterNumber(reader: JsonReader, what: string, key: string): ParameterValue {
  const start = reader.pos;
  const value = readNumber(reader);
  if (!Number.isFinite(value)) {
    throw invalidRequest(`Cannot decode ${what}: expected parameter ${quoteName(key)} to be a number that a double holds, got a larger one`);
  }
  if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  const exact = integerFromDecimal(reader.asciiSince(start));
  return exact === undefined || exact < BIGINT_RANGE.INT64[0] || exact > BIGINT_RANGE.UINT64[1] ? value : exact;
}
