import { invalidRequest } from '../core/errors.ts';
import { BIGINT_RANGE } from '../core/datatype.ts';
import type { Parameters, ParameterValue } from '../core/tensor.ts';
import type { ProtoReader } from './v2-proto-reader.ts';
import { ProtoWriter } from './v2-proto-writer.ts';
import { clip } from './v2-proto-text.ts';

/** Fields of an entry of `map<string, InferParameter>`, and of InferParameter's oneof (OIP gRPC, "Parameters"). */
const KEY = 1;
const VALUE = 2;
const BOOL = 1;
const INT64 = 2;
const STRING = 3;
const DOUBLE = 4;
const UINT64 = 5;

/** Reads one map entry into `parameters`; of equal keys the last wins, as in every protobuf map. */
export function readParameter(entry: ProtoReader, parameters: Record<string, ParameterValue>): void {
  let key = '';
  let value: ParameterValue | undefined;
  while (entry.next()) {
    if (entry.field === KEY) key = entry.string();
    else if (entry.field === VALUE) value = readValue(entry.message());
    else entry.skip();
  }
  if (value === undefined) throw entry.error(`parameter "${clip(key)}" has no value`);
  parameters[key] = value;
}

function readValue(reader: ProtoReader): ParameterValue | undefined {
  let value: ParameterValue | undefined;
  while (reader.next()) {
    switch (reader.field) {
      case BOOL:
        value = reader.bool();
        break;
      case INT64:
        value = reader.int64();
        break;
      case STRING:
        value = reader.string();
        break;
      case DOUBLE:
        value = reader.double();
        break;
      case UINT64:
        value = reader.uint64();
        break;
      default:
        reader.skip();
    }
  }
  return value;
}

/** Writes every parameter as an entry of map field `field`. Throws invalid_request for an integer that no 64 bits hold. */
export function writeParameters(writer: ProtoWriter, field: number, parameters: Parameters | undefined): void {
  for (const key in parameters) {
    const value = parameters[key];
    if (value !== undefined) writer.bytes(field, encodeEntry(key, value));
  }
}

function encodeEntry(key: string, value: ParameterValue): Uint8Array {
  const choice = new ProtoWriter(16);
  writeValue(choice, key, value);
  const entry = new ProtoWriter(32);
  entry.stringAlways(KEY, key);
  entry.bytes(VALUE, choice.finish());
  return entry.finish();
}

function writeValue(writer: ProtoWriter, key: string, value: ParameterValue): void {
  switch (typeof value) {
    case 'boolean':
      writer.bool(BOOL, value);
      return;
    case 'string':
      writer.stringAlways(STRING, value);
      return;
    case 'number':
      // No integer is -0.
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) writer.int64(INT64, value);
      else writer.double(DOUBLE, value);
      return;
    default:
      if (value >= BIGINT_RANGE.INT64[0] && value <= BIGINT_RANGE.INT64[1]) writer.int64(INT64, value);
      else if (value > 0n && value <= BIGINT_RANGE.UINT64[1]) writer.int64(UINT64, value);
      else throw invalidRequest(`Cannot encode parameter "${clip(key)}": expected an integer of 64 bits, got ${clip(String(value))}`);
  }
}
