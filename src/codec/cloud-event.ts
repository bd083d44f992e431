import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { BINARY_CONTENT_TYPE, JSON_CONTENT_TYPE } from './encoded-body.ts';
import { decodeBase64 } from './json/base64.ts';
import { openObject, quoteName, refuseDuplicate, takeNull, wrongType } from './json/fields.ts';
import { readNumber } from './json/number.ts';
import { JsonReader } from './json/reader.ts';
import { readLongText, skipValue } from './json/skip.ts';
import { checkUtf8 } from './json/utf8.ts';

/** CloudEvents attributes are text, whole numbers or truth values in the JSON format (section 2.2). */
export type AttributeValue = string | number | boolean;

/** A structured event: its attributes as they stand, and its data as bytes that nobody has looked into. */
export interface EventEnvelope {
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** Media type of `bytes`: the attribute `datacontenttype`, else JSON for `data` and unknown bytes for `data_base64`. */
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** More attributes than any event has. */
const MAX_ATTRIBUTES = 256;
const QUOTE = 0x22;

/**
 * Opens an event in JSON format (CloudEvents 1.0, JSON Event Format section 3). `data` is cut out as it is when it is JSON; text of another media type loses
 * its quotes and escapes; `data_base64` is decoded. Attributes that are null are absent. Throws invalid_request that names the attribute; whether they make
 * a valid event is for others to check.
 */
export function* decodeEventEnvelope(body: Uint8Array, maxDepth: number): Steps<EventEnvelope> {
  yield* checkUtf8(body, 'event');
  const reader = new JsonReader(body, { what: 'event', maxDepth });
  const attributes = new Map<string, AttributeValue>();
  let data: EventData | undefined;
  openObject(reader, 'event', 1);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    if (key === 'data' || key === 'data_base64') {
      if (data !== undefined) throw invalidRequest('Cannot decode event: expected "data" or "data_base64" once, got two of them');
      data = yield* readData(reader, key);
      continue;
    }
    refuseDuplicate(attributes.get(key), 'event', key);
    if (attributes.size === MAX_ATTRIBUTES) throw invalidRequest(`Cannot decode event: expected at most ${MAX_ATTRIBUTES} attributes, got more`);
    if (!takeNull(reader)) attributes.set(key, readAttribute(reader, key));
  }
  reader.expectEnd();
  if (data === undefined) throw invalidRequest('Cannot decode event: expected "data" or "data_base64", got neither');
  return { attributes, ...contentOf(data, attributes.get('datacontenttype')) };
}

/** Throws invalid_request unless the data of an event is one JSON document. */
export function* checkEventJson(data: Uint8Array, maxDepth: number): Steps<void> {
  yield* checkUtf8(data, 'event data');
  const reader = new JsonReader(data, { what: 'event data', maxDepth });
  yield* skipValue(reader, 0);
  reader.expectEnd();
}

/** JSON, or a format on top of it (JSON Event Format section 3.1). */
export function isJsonType(contentType: string): boolean {
  return /^[^;]*[/+]json\s*(;|$)/i.test(contentType);
}

/** An event in JSON format around data of this media type: JSON as it is, anything else in base64. */
export function encodeEventEnvelope(attributes: object, contentType: string, data: readonly Uint8Array[]): readonly Uint8Array[] {
  const isJson = isJsonType(contentType);
  const head = JSON.stringify(isJson ? attributes : { ...attributes, datacontenttype: contentType });
  const open = Buffer.from(`${head.slice(0, -1)},"${isJson ? 'data' : 'data_base64'}":`);
  if (isJson) return [open, ...data, Buffer.from('}')];
  return [open, Buffer.from(`"${Buffer.concat(data).toString('base64')}"}`)];
}

interface EventData {
  readonly bytes: Uint8Array;
  /** Of `data` when it is a string, which is what texts of other media types are sent as. */
  readonly text?: string;
  readonly isBase64: boolean;
}

function* readData(reader: JsonReader, key: 'data' | 'data_base64'): Steps<EventData> {
  const start = reader.pos;
  const isText = reader.peek() === QUOTE;
  if (key === 'data_base64') {
    if (!isText) throw wrongType(reader, 'event', key, 'base64 text');
    const bytes = yield* decodeBase64(yield* readLongText(reader));
    if (bytes === undefined)
      throw invalidRequest('Cannot decode event: expected "data_base64" to be base64 text, got other characters or a wrong length');
    return { bytes, isBase64: true };
  }
  const text = isText ? yield* readLongText(reader) : undefined;
  if (text === undefined) yield* skipValue(reader, 1);
  // A copy: what is left of the event need not live as long as its data.
  const bytes = reader.bytes.slice(start, reader.pos);
  return { bytes, isBase64: false, ...(text === undefined ? {} : { text }) };
}

function readAttribute(reader: JsonReader, key: string): AttributeValue {
  if (reader.peek() === QUOTE) return reader.readText();
  if (reader.takeLiteral('true')) return true;
  if (reader.takeLiteral('false')) return false;
  const next = reader.describeNext();
  if (next === 'a number') {
    const value = readNumber(reader);
    if (Number.isInteger(value)) return value;
  }
  throw invalidRequest(`Cannot decode event: expected attribute ${quoteName(key)} to be text, a whole number or a boolean, got ${next}`);
}

function contentOf({ bytes, text, isBase64 }: EventData, attribute: AttributeValue | undefined): Pick<EventEnvelope, 'contentType' | 'bytes'> {
  if (attribute !== undefined && typeof attribute !== 'string') {
    throw invalidRequest(`Cannot decode event: expected attribute "datacontenttype" to be text, got ${String(attribute)}`);
  }
  const contentType = attribute ?? (isBase64 ? BINARY_CONTENT_TYPE : JSON_CONTENT_TYPE);
  return { contentType, bytes: text !== undefined && !isJsonType(contentType) ? Buffer.from(text) : bytes };
}
