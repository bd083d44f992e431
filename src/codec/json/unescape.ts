import type { JsonReader } from './reader.ts';

const BACKSLASH = 0x5c;

/** What the character after a backslash stands for; 0 for `u`. */
const SIMPLE_ESCAPES = new Uint8Array(128);
for (const [name, code] of [
  ['"', 0x22],
  ['\\', 0x5c],
  ['/', 0x2f],
  ['b', 0x08],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
] as const) {
  SIMPLE_ESCAPES[name.charCodeAt(0)] = code;
}

/**
 * Copies string content that `scanString` has checked, from `from` to about `end`, into `target` at `to` as plain UTF-8. Stops only between escapes, which
 * may be a few bytes behind `end`; returns where reading and writing stopped.
 */
export function unescapeInto(reader: JsonReader, from: number, end: number, target: Uint8Array, to: number): [from: number, to: number] {
  const { bytes } = reader;
  let read = from;
  let write = to;
  while (read < end) {
    const byte = bytes[read] ?? 0;
    if (byte !== BACKSLASH) {
      target[write++] = byte;
      read++;
      continue;
    }
    const simple = SIMPLE_ESCAPES[bytes[read + 1] ?? 0] ?? 0;
    if (simple !== 0) {
      target[write++] = simple;
      read += 2;
      continue;
    }
    let code = reader.readUnit(read);
    read += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
      code = 0x1_0000 + ((code - 0xd800) << 10) + (reader.readUnit(read) - 0xdc00);
      read += 6;
    }
    write = writeCodePoint(code, target, write);
  }
  return [read, write];
}

function writeCodePoint(code: number, target: Uint8Array, start: number): number {
  let to = start;
  if (code < 0x80) target[to++] = code;
  else {
    if (code < 0x800) target[to++] = 0xc0 | (code >> 6);
    else {
      if (code < 0x1_0000) target[to++] = 0xe0 | (code >> 12);
      else {
        target[to++] = 0xf0 | (code >> 18);
        target[to++] = 0x80 | ((code >> 12) & 0x3f);
      }
      target[to++] = 0x80 | ((code >> 6) & 0x3f);
    }
    target[to++] = 0x80 | (code & 0x3f);
  }
  return to;
}
