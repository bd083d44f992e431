import type { Steps } from '../../core/steps.ts';
import type { JsonWriter } from './writer.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Bytes looked at between two pauses; each takes six at most, as `\u001f`. */
const SLICE_BYTES = 1 << 14;
const MAX_ESCAPE_BYTES = 6;

const SHORT_ESCAPES: Readonly<Record<number, number>> = { 0x22: QUOTE, 0x5c: BACKSLASH, 0x08: 0x62, 0x0c: 0x66, 0x0a: 0x6e, 0x0d: 0x72, 0x09: 0x74 };

/** Writes UTF-8 bytes as a JSON string; the caller has checked that they are UTF-8. */
export function* writeUtf8String(writer: JsonWriter, bytes: Uint8Array): Steps<void> {
  writer.byte(QUOTE);
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) {
    if (from > 0) yield;
    writeSlice(writer, bytes, from, Math.min(from + SLICE_BYTES, bytes.length));
  }
  writer.byte(QUOTE);
}

/** The same in one go. */
export function writeShortUtf8String(writer: JsonWriter, bytes: Uint8Array): void {
  writer.byte(QUOTE);
  writeSlice(writer, bytes, 0, bytes.length);
  writer.byte(QUOTE);
}

function writeSlice(writer: JsonWriter, bytes: Uint8Array, from: number, to: number): void {
  writer.reserve((to - from) * MAX_ESCAPE_BYTES);
  const { buffer } = writer;
  let { pos } = writer;
  for (let index = from; index < to; index++) {
    const byte = bytes[index] ?? 0;
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
      buffer[pos++] = byte;
      continue;
    }
    buffer[pos++] = BACKSLASH;
    const escape = SHORT_ESCAPES[byte];
    if (escape !== undefined) buffer[pos++] = escape;
    else pos += buffer.write(`u${byte.toString(16).padStart(4, '0')}`, pos, 'latin1');
  }
  writer.pos = pos;
}
