import { invalidRequest, type ServingError } from '../../core/errors.ts';
import type { JsonReader } from './reader.ts';

/** Takes the `{` of the object at the cursor, the `depth`th container open. `what` names it in the message, e.g. `request` or `inputs[2]`. */
export function openObject(reader: JsonReader, what: string, depth: number): void {
  reader.checkDepth(depth);
  if (!reader.take(0x7b)) throw invalidRequest(`Cannot decode ${what}: expected an object, got ${reader.describeNext()}`);
}

/** Takes the `[` of the list that is the value of `field`. */
export function openList(reader: JsonReader, what: string, field: string, depth: number): void {
  reader.checkDepth(depth);
  if (!reader.take(0x5b)) throw wrongType(reader, what, field, 'a list');
}

/** The string that is the value of `field`. */
export function readTextField(reader: JsonReader, what: string, field: string): string {
  if (reader.peek() !== 0x22) throw wrongType(reader, what, field, 'a string');
  return reader.readText();
}

/** Consumes `null`; optional fields may be null, which means absent. */
export function takeNull(reader: JsonReader): boolean {
  return reader.peek() === 0x6e && reader.takeLiteral('null');
}

export function wrongType(reader: JsonReader, what: string, field: string, expected: string): ServingError {
  return invalidRequest(`Cannot decode ${what}: expected "${field}" to be ${expected}, got ${reader.describeNext()}`);
}

/** Throws when a field of the protocol comes a second time; `earlier` is what was read the first time. */
export function refuseDuplicate(earlier: unknown, what: string, field: string): void {
  if (earlier !== undefined) throw invalidRequest(`Cannot decode ${what}: expected "${field}" once, got it twice`);
}

/** A client's name for use in a message: quoted, and cut when it is long. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
