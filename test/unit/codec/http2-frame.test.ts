import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeHttp2Numbers,
  encodeHttp2Settings,
  FrameType,
  HTTP2_FRAME_BYTES,
  HTTP2_HEAD_BYTES,
  Http2FrameReader,
  readUint32,
  writeHttp2Head,
} from '../../../src/codec/http2-frame.ts';

interface Seen {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

function read(chunks: readonly Buffer[], maxBytes?: number): Seen[] {
  const seen: Seen[] = [];
  const reader = new Http2FrameReader(maxBytes);
  for (const chunk of chunks) {
    reader.push(chunk, (type, flags, stream, payload) => {
      seen.push({ type, flags, stream, payload: Buffer.from(payload) });
    });
  }
  return seen;
}

function encode({ type, flags, stream, payload }: Seen): Buffer {
  const bytes = Buffer.alloc(HTTP2_HEAD_BYTES + payload.length);
  writeHttp2Head(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, HTTP2_HEAD_BYTES);
  return bytes;
}

describe('Http2FrameReader', () => {
  it('reads the same frames however the bytes are cut', () => {
    const frames = fc.array(
      fc.record({
        type: fc.integer({ min: 0, max: 255 }),
        flags: fc.integer({ min: 0, max: 255 }),
        stream: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
        payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (given, cuts) => {
        const bytes = Buffer.concat(given.map(encode));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length]!;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(read(chunks)).toEqual(given);
      }),
    );
  });

  it('ignores the reserved bit of the stream', () => {
    const frame = encodeHttp2Numbers(FrameType.windowUpdate, 7, 9);
    frame[5] = 0x80;
    expect(read([frame])).toEqual([{ type: FrameType.windowUpdate, flags: 0, stream: 7, payload: Buffer.of(0, 0, 0, 9) }]);
  });

  it('refuses a frame above the limit as soon as its head is there', () => {
    const head = Buffer.alloc(HTTP2_HEAD_BYTES);
    writeHttp2Head(head, 0, HTTP2_FRAME_BYTES + 1, FrameType.data, 0, 1);
    expect(() => read([head])).toThrow('expected at most 16384 bytes, got 16385');
    expect(() => read([head.subarray(0, 5), head.subarray(5)])).toThrow('expected at most 16384 bytes, got 16385');
  });
});

describe('encodeHttp2Settings', () => {
  it('writes pairs of 16 and 32 bits', () => {
    const [settings] = read([
      encodeHttp2Settings([
        [1, 0],
        [0x102, 2 ** 32 - 1],
      ]),
    ]);
    expect(settings).toMatchObject({ type: FrameType.settings, stream: 0, payload: Buffer.from('000100000000' + '0102ffffffff', 'hex') });
    expect(readUint32(settings!.payload, 8)).toBe(2 ** 32 - 1);
  });
});
