import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeHttp2Numbers,
  encodeHttp2Settings,
  FrameFlag,
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

function read(chunks: readonly Buffer[], cutsData = false): Seen[] {
  const seen: Seen[] = [];
  const reader = new Http2FrameReader(HTTP2_FRAME_BYTES, cutsData);
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

function framesOf(types: fc.Arbitrary<number>): fc.Arbitrary<Seen[]> {
  return fc.array(
    fc.record({
      type: types,
      flags: fc.integer({ min: 0, max: 255 }),
      stream: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    }),
    { maxLength: 8 },
  );
}

const CUTS = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });

function cut(given: readonly Seen[], cuts: readonly number[]): Buffer[] {
  const bytes = Buffer.concat(given.map(encode));
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = cuts[turn % cuts.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe('Http2FrameReader', () => {
  it('reads the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(framesOf(fc.integer({ min: 0, max: 255 })), CUTS, (given, cuts) => {
        expect(read(cut(given, cuts))).toEqual(given);
      }),
    );
  });

  it('gives DATA in pieces when asked to, which say the same', () => {
    fc.assert(
      fc.property(framesOf(fc.constantFrom(FrameType.data, FrameType.ping)), CUTS, (given, cuts) => {
        const whole: Seen[] = [];
        let isOpen = false;
        for (const one of read(cut(given, cuts), true)) {
          const isPiece = one.type === FrameType.data && (one.flags & FrameFlag.padded) === 0;
          const expected: Seen | undefined = given[isOpen ? whole.length - 1 : whole.length];
          const last = whole.at(-1);
          if (isOpen && last !== undefined) whole.splice(-1, 1, { ...one, payload: Buffer.concat([last.payload, one.payload]) });
          else whole.push(one);
          const got = whole.at(-1)?.payload.length ?? 0;
          isOpen = isPiece && got < (expected?.payload.length ?? 0);
          if (isOpen) expect(one.flags & FrameFlag.endStream).toBe(0);
        }
        expect(whole).toEqual(given);
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
