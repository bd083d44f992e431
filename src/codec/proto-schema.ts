import { LENGTH, ProtoReader, VARINT } from './v2-proto-reader.ts';
import { ProtoWriter } from './v2-proto-writer.ts';

/** How a field of a message travels; `repeated` ones are arrays, maps are objects. Numbers are int32, int64, uint64 or enum within 2^53. */
export type FieldKind = 'string' | 'bytes' | 'bool' | 'number' | 'strings' | 'bytesList' | 'numbers' | 'message' | 'messages' | 'map';

export interface FieldSchema {
  readonly number: number;
  readonly kind: FieldKind;
  /** Of the message, or of a map's value when that is one; strings else. */
  readonly of?: MessageSchema;
  /** Member of a oneof: written when it is there, whatever its value. */
  readonly isOneof?: true;
}

/** The fields of a message by their names, in the order of their numbers. */
export type MessageSchema = Readonly<Record<string, FieldSchema>>;

type Value = string | boolean | number | Uint8Array | MessageValue | readonly Value[];
interface MessageValue {
  [name: string]: Value | undefined;
}

/**
 * Encodes small messages, whose fields are known at run time only: tensors have codecs of their own. What has proto3's default value, or is undefined, is left
 * out. `headroom` bytes are left free before the message.
 */
export function encodeMessage(schema: MessageSchema, value: object, headroom = 0): Buffer {
  const writer = new ProtoWriter(headroom + 64);
  writer.position = headroom;
  writeMessage(writer, schema, value as MessageValue);
  return writer.finish();
}

/** All fields that are not of a message or oneof are there, with their defaults. Throws invalid_request naming `what`; unknown fields are skipped. */
export function decodeMessage(schema: MessageSchema, bytes: Uint8Array, what: string): Record<string, unknown> {
  return readMessage(schema, new ProtoReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength, what));
}

function writeMessage(writer: ProtoWriter, schema: MessageSchema, value: MessageValue): void {
  for (const name in schema) {
    const field = schema[name];
    const member = value[name];
    if (field !== undefined && member !== undefined) writeField(writer, field, member);
  }
}

function writeField(writer: ProtoWriter, field: FieldSchema, value: Value): void {
  const { number, kind, of = {} } = field;
  const isAlways = field.isOneof === true;
  switch (kind) {
    case 'string':
      if (isAlways || value !== '') writer.stringAlways(number, value as string);
      return;
    case 'bytes':
      if (isAlways || (value as Uint8Array).length > 0) writer.bytes(number, value as Uint8Array);
      return;
    case 'bool':
      if (isAlways || value === true) writer.bool(number, value as boolean);
      return;
    case 'number':
      if (isAlways || value !== 0) writer.int64(number, value as number);
      return;
    case 'strings':
      for (const text of value as readonly string[]) writer.stringAlways(number, text);
      return;
    case 'bytesList':
      for (const bytes of value as readonly Uint8Array[]) writer.bytes(number, bytes);
      return;
    case 'numbers':
      writeNumbers(writer, number, value as readonly number[]);
      return;
    case 'message':
      writer.bytes(number, encodeMessage(of, value as MessageValue));
      return;
    case 'messages':
      for (const message of value as readonly MessageValue[]) writer.bytes(number, encodeMessage(of, message));
      return;
    case 'map':
      for (const [key, entry] of Object.entries(value as MessageValue)) {
        if (entry !== undefined) writer.bytes(number, encodeMessage(mapEntry(field), { key, value: entry }));
      }
  }
}

/** Packed, as proto3 has it. */
function writeNumbers(writer: ProtoWriter, number: number, values: readonly number[]): void {
  if (values.length === 0) return;
  const packed = new ProtoWriter(values.length * 10);
  for (const value of values) packed.varint(value % 2 ** 32, Math.floor(value / 2 ** 32));
  writer.bytes(number, packed.finish());
}

function readMessage(schema: MessageSchema, reader: ProtoReader): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  const byNumber = new Map<number, readonly [string, FieldSchema]>();
  for (const [name, field] of Object.entries(schema)) {
    byNumber.set(field.number, [name, field]);
    if (field.isOneof !== true && field.kind !== 'message') message[name] = defaultOf(field);
  }
  while (reader.next()) {
    const known = byNumber.get(reader.field);
    if (known === undefined) reader.skip();
    else readField(reader, message, known[0], known[1]);
  }
  return message;
}

function readField(reader: ProtoReader, message: Record<string, unknown>, name: string, field: FieldSchema): void {
  switch (field.kind) {
    case 'string':
      message[name] = reader.string();
      return;
    case 'bytes':
      message[name] = readBytes(reader);
      return;
    case 'bool':
      message[name] = reader.bool();
      return;
    case 'number':
      message[name] = Number(reader.int64());
      return;
    case 'strings':
      (message[name] as string[]).push(reader.string());
      return;
    case 'bytesList':
      (message[name] as Uint8Array[]).push(readBytes(reader));
      return;
    case 'numbers':
      readNumbers(reader, message[name] as number[]);
      return;
    case 'message':
      message[name] = readMessage(field.of ?? {}, reader.message());
      return;
    case 'messages':
      (message[name] as unknown[]).push(readMessage(field.of ?? {}, reader.message()));
      return;
    case 'map': {
      const { key, value = {} } = readMessage(mapEntry(field), reader.message());
      (message[name] as Record<string, unknown>)[key as string] = value;
    }
  }
}

function readBytes(reader: ProtoReader): Uint8Array {
  const end = reader.length();
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return bytes;
}

function readNumbers(reader: ProtoReader, values: number[]): void {
  if (reader.wireType === VARINT) {
    values.push(Number(reader.int64()));
    return;
  }
  reader.expect(LENGTH);
  const end = reader.packedEnd();
  const packed = new ProtoReader(reader.bytes, reader.position, end, reader.what);
  while (packed.position < end) {
    packed.varint();
    values.push(Number(packed.signed()));
  }
  reader.position = end;
}

function mapEntry({ of }: FieldSchema): MessageSchema {
  return { key: { number: 1, kind: 'string' }, value: of === undefined ? { number: 2, kind: 'string' } : { number: 2, kind: 'message', of } };
}

function defaultOf({ kind }: FieldSchema): unknown {
  switch (kind) {
    case 'string':
      return '';
    case 'bytes':
      return new Uint8Array(0);
    case 'bool':
      return false;
    case 'number':
      return 0;
    case 'map':
      return Object.create(null);
    default:
      return [];
  }
}
