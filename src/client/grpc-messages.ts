import type { ModelIndexEntry, ModelMetadata, ServerMetadata, TensorMetadata } from '../core/metadata.ts';
import { invalidResponse } from './inference-error.ts';
import { toIndexEntry, toTensorMetadata } from './metadata-values.ts';

/**
 * The small messages of `inference.GRPCInferenceService` in protobuf's wire format; field numbers stand beside each. A message is a row of
 *
 *     | key varint = field << 3 | wire type | value |      wire types: 0 varint, 1 eight bytes, 2 length varint + bytes, 5 four bytes
 */
interface Field {
  readonly number: number;
  /** Wire type 0. */
  readonly varint: bigint;
  /** Wire type 2, a view; empty for the others. */
  readonly bytes: Uint8Array;
}

/** Of strings and bools, leaving out what has the default value, as proto3 does. */
export function encodeFields(fields: Iterable<readonly [number: number, value: string | boolean | undefined]>): Buffer {
  const parts: Buffer[] = [];
  for (const [number, value] of fields) {
    if (value === undefined || value === '' || value === false) continue;
    if (value === true) parts.push(Buffer.of(number << 3, 1));
    else {
      const text = Buffer.from(value, 'utf8');
      parts.push(Buffer.from([(number << 3) | 2, ...varintBytes(text.length)]), text);
    }
  }
  return Buffer.concat(parts);
}

/** Field 1 of ServerLiveResponse, ServerReadyResponse and ModelReadyResponse; field 2 of RepositoryModelLoadResponse and -UnloadResponse. */
export function decodeFlag(message: Uint8Array, number: 1 | 2): boolean {
  let flag = false;
  for (const field of decodeFields(message)) if (field.number === number) flag = field.varint !== 0n;
  return flag;
}

/** ServerMetadataResponse { name = 1, version = 2, repeated extensions = 3 } */
export function decodeServerMetadata(message: Uint8Array): ServerMetadata {
  const texts = collectTexts(message);
  return { name: texts.one(1), version: texts.one(2), extensions: texts.all(3) };
}

/** ModelMetadataResponse { name = 1, repeated versions = 2, platform = 3, repeated inputs = 4, repeated outputs = 5, map properties = 6 } */
export function decodeModelMetadata(message: Uint8Array): ModelMetadata {
  const texts = collectTexts(message, [1, 2, 3]);
  const inputs: TensorMetadata[] = [];
  const outputs: TensorMetadata[] = [];
  const properties: [string, string][] = [];
  for (const field of decodeFields(message)) {
    if (field.number === 4) inputs.push(decodeTensorMetadata(field.bytes));
    else if (field.number === 5) outputs.push(decodeTensorMetadata(field.bytes));
    else if (field.number === 6) {
      const entry = collectTexts(field.bytes);
      properties.push([entry.one(1), entry.one(2)]);
    }
  }
  return { name: texts.one(1), versions: texts.all(2), platform: texts.one(3), inputs, outputs, properties: Object.fromEntries(properties) };
}

/** RepositoryIndexResponse { repeated ModelIndex models = 1 { name = 1, version = 2, state = 3, reason = 4 } } */
export function decodeIndex(message: Uint8Array): readonly ModelIndexEntry[] {
  const entries: ModelIndexEntry[] = [];
  for (const field of decodeFields(message)) {
    if (field.number !== 1) continue;
    const texts = collectTexts(field.bytes);
    entries.push(toIndexEntry(texts.one(1), texts.one(2), texts.one(3), texts.one(4)));
  }
  return entries;
}

/** TensorMetadata { name = 1, datatype = 2, repeated int64 shape = 3, packed or not } */
function decodeTensorMetadata(message: Uint8Array): TensorMetadata {
  const texts = collectTexts(message, [1, 2]);
  const shape: number[] = [];
  for (const field of decodeFields(message)) {
    if (field.number !== 3) continue;
    if (field.bytes.length === 0) shape.push(toSigned(field.varint));
    for (const reader = new WireReader(field.bytes); !reader.isAtEnd;) shape.push(toSigned(reader.varint()));
  }
  return toTensorMetadata(texts.one(1), texts.one(2), shape);
}

function toSigned(value: bigint): number {
  return Number(BigInt.asIntN(64, value));
}

interface Texts {
  /** The last one, as proto3 says; "" when absent. */
  one(number: number): string;
  all(number: number): readonly string[];
}

/** `only`: the fields that are texts, where others are messages. */
function collectTexts(message: Uint8Array, only?: readonly number[]): Texts {
  const found = new Map<number, string[]>();
  for (const { number, bytes } of decodeFields(message)) {
    if (only !== undefined && !only.includes(number)) continue;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    const list = found.get(number);
    if (list === undefined) found.set(number, [text]);
    else list.push(text);
  }
  return { one: (number) => found.get(number)?.at(-1) ?? '', all: (number) => found.get(number) ?? [] };
}

/** Throws invalid_response for what is not protobuf. */
function decodeFields(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (const reader = new WireReader(message); !reader.isAtEnd;) fields.push(reader.field());
  return fields;
}

const NO_BYTES = new Uint8Array(0);

class WireReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#bytes.length;
  }

  field(): Field {
    const key = Number(this.varint());
    const number = Math.floor(key / 8);
    switch (key & 7) {
      case 0:
        return { number, varint: this.varint(), bytes: NO_BYTES };
      case 1:
        return { number, varint: 0n, bytes: this.#take(8) };
      case 2:
        return { number, varint: 0n, bytes: this.#take(Number(this.varint())) };
      case 5:
        return { number, varint: 0n, bytes: this.#take(4) };
      default:
        throw invalidResponse(`Cannot read the response: no protobuf wire type ${key & 7}`);
    }
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined) throw invalidResponse('Cannot read the response: it ends within a protobuf field');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw invalidResponse('Cannot read the response: a protobuf varint has more than 10 bytes');
  }

  #take(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw invalidResponse('Cannot read the response: it ends within a protobuf field');
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }
}

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
