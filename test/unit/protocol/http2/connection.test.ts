import { EventEmitter } from 'node:events';
import type { ServerHttp2Session } from 'node:http2';
import { describe, expect, test } from 'vitest';
import { Http2Connection } from '../../../../src/protocol/http2/connection.ts';

const READ_BYTES = 64 * 1024;

/** What a socket read: `parts` are the lengths of its DATA frames, each behind a header but for the rest of one at the start. */
function read(rest: number, parts: readonly number[]): { readonly buffer: ArrayBuffer; readonly chunks: readonly Uint8Array[] } {
  const buffer = new ArrayBuffer(rest + parts.reduce((sum, length) => sum + 9 + length, 0));
  const chunks = rest === 0 ? [] : [new Uint8Array(buffer, 0, rest)];
  let at = rest;
  for (const length of parts) {
    chunks.push(new Uint8Array(buffer, at + 9, length));
    at += 9 + length;
  }
  return { buffer, chunks };
}

function connection(): Http2Connection {
  return new Http2Connection(new EventEmitter() as ServerHttp2Session);
}

describe('what a socket read', () => {
  test.each([
    ['from a header on', 0],
    ['from the middle of a frame on', 100],
  ])('is given back with the next read when all of it was copied, %s', (_name, rest) => {
    const to = connection();
    const first = read(rest, [READ_BYTES / 2, READ_BYTES / 2]);
    for (const chunk of first.chunks) to.took(chunk, true, true);
    expect(first.buffer.byteLength).toBeGreaterThan(READ_BYTES);
    const second = read(0, [READ_BYTES]);
    to.took(second.chunks[0] ?? new Uint8Array(0), true, true);
    expect([first.buffer.byteLength, second.buffer.byteLength]).toEqual([0, READ_BYTES + 9]);
  });

  test.each([
    ['at its start', 1, [READ_BYTES, READ_BYTES], 0],
    ['in the middle', 0, [READ_BYTES, 1, READ_BYTES], 1],
    ['at its end', 50, [READ_BYTES, READ_BYTES, 1], 3],
  ])('stays when one byte of another stream is in it, %s', (_name, rest, parts, other) => {
    const to = connection();
    const first = read(rest, parts);
    first.chunks.forEach((chunk, index) => {
      if (index !== other) to.took(chunk, true, true);
    });
    to.took(new Uint8Array(READ_BYTES), true, true);
    expect(first.buffer.byteLength).toBeGreaterThan(READ_BYTES);
  });

  test('stays when a message lies in it', () => {
    const to = connection();
    const first = read(0, [READ_BYTES, 30]);
    first.chunks.forEach((chunk, index) => {
      to.took(chunk, index === 0, true);
    });
    to.took(new Uint8Array(READ_BYTES), true, true);
    expect(first.buffer.byteLength).toBeGreaterThan(READ_BYTES);
  });
});
