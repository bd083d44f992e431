import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COPY_LIMIT, encodeFrame, FRAME_KINDS, FrameReader, HEAD_BYTES, type Frame } from '../../../src/executor/frame.ts';

const head = fc.record({ kind: fc.constantFrom(...FRAME_KINDS), model: fc.nat(0xffff_ffff), request: fc.nat(0xffff_ffff) });
// Around the sizes above which tensors are not copied, and are read to their place.
const tensor = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.oneof(fc.integer({ min: 16_380, max: 16_390 }), fc.integer({ min: 65_530, max: 200_000 })).map((length) => {
    return new Uint8Array(Buffer.alloc(length, `${String(length)} bytes, `));
  }),
);
const message = fc.record({ head, metadata: fc.jsonValue(), tensors: fc.array(tensor, { maxLength: 5 }) });

/** `isDirect`: as from a socket that reads to where it is told. */
function readAll(bytes: Uint8Array, sizes: readonly number[], isDirect = false): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame));
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : sizes[i % sizes.length]!;
    if (isDirect) {
      const room = reader.room();
      const chunk = bytes.subarray(at, at + Math.min(size, room.length));
      room.set(chunk);
      reader.filled(chunk.length, room);
      at += chunk.length;
      continue;
    }
    // A buffer that is overwritten afterwards, as sockets may do.
    const chunk = bytes.slice(at, at + size);
    reader.push(chunk);
    chunk.fill(0xee);
    at += size;
  }
  return frames;
}

function tensorsOf(frame: Frame, tensors: readonly Uint8Array[]): Uint8Array[] {
  let at = frame.tensorsAt;
  let large = 0;
  return tensors.map(({ length }) => {
    if (length > COPY_LIMIT) return new Uint8Array(frame.large[large++]!);
    const view = new Uint8Array(frame.body, at, length);
    expect(at % 8).toBe(0);
    at += Math.ceil(length / 8) * 8;
    return view;
  });
}

describe('frames', () => {
  test('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 4 }),
        fc.array(fc.constantFrom(1, 7, 31, 33, 500, 16_384, 70_000), { maxLength: 3 }).map((sizes) => [...sizes, 150_000]),
        fc.boolean(),
        (messages, sizes, isDirect) => {
          const bytes = Buffer.concat(messages.flatMap(({ head, metadata, tensors }) => encodeFrame(head, metadata, tensors)));
          const frames = readAll(bytes, sizes, isDirect);
          expect(frames.map(({ kind, model, request, metadata }) => ({ head: { kind, model, request }, metadata }))).toEqual(
            messages.map(({ head, metadata }) => ({ head, metadata: JSON.parse(JSON.stringify(metadata)) as unknown })),
          );
          frames.forEach((frame, i) => {
            const sent = messages[i]!.tensors;
            expect(tensorsOf(frame, sent).map((view, k) => Buffer.compare(view, sent[k]!))).toEqual(sent.map(() => 0));
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('each own an ArrayBuffer that holds their body and nothing else', () => {
    const bytes = Buffer.concat([1, 2].flatMap((n) => encodeFrame({ kind: 'run', model: n, request: n }, {}, [new Uint8Array(3)])));
    const frames = readAll(bytes, []);
    expect(frames.map(({ body }) => body.byteLength)).toEqual([16, 16]);
    expect(frames[0]!.body).not.toBe(frames[1]!.body);
  });

  test('large tensors are read to buffers of their own', () => {
    const sent = [new Uint8Array(300_000).fill(1), new Uint8Array(8), new Uint8Array(100_000).fill(2)];
    const bytes = Buffer.concat(encodeFrame({ kind: 'run', model: 1, request: 1 }, {}, sent));
    const [frame] = readAll(bytes, [70_000], true);
    expect(frame!.large.map(({ byteLength }) => byteLength)).toEqual([300_000, 100_000]);
    expect(frame!.body.byteLength).toBe(8 + 8 + 8);
  });

  test('large tensors are written from where they lie', () => {
    const large = new Uint8Array(100_000);
    expect(encodeFrame({ kind: 'run', model: 1, request: 1 }, {}, [new Uint8Array(8), large, new Uint8Array(8)])).toContain(large);
  });

  test('a frame above the limit is refused before its body is read', () => {
    const bytes = Buffer.concat(encodeFrame({ kind: 'run', model: 1, request: 1 }, {}, [new Uint8Array(1000)]));
    const reader = new FrameReader(() => undefined, 512);
    expect(() => {
      reader.push(bytes.subarray(0, HEAD_BYTES));
    }).toThrow('Cannot read frame: body of 1008 bytes is above the limit of 512');
  });

  test.each([
    ['magic number', 0, 0xdeadbeef],
    ['kind', 4, FRAME_KINDS.length],
    ['JSON', 24, 1],
    ['JSON', 24, 0xffff_ffff],
    ['reserved', 28, 1],
    ['JSON', 16, 0],
    ['JSON', 16, 0xffff_ffff],
    ['limit', 20, 0xffff_fff8],
    ['JSON', 20, 9],
  ])('with a wrong head are refused: %s at byte %i', (what, at, value) => {
    const bytes = Buffer.concat(encodeFrame({ kind: 'load', model: 1, request: 0 }, { a: 1 }));
    bytes.writeUInt32LE(value, at);
    expect(() => readAll(bytes, [])).toThrow(what);
  });

  test.each([
    ['a large tensor of 16384 bytes', COPY_LIMIT],
    ['above the limit', 0xffff_ffff],
  ])('with a wrong size of a large tensor are refused: %s', (what, size) => {
    const bytes = Buffer.concat(encodeFrame({ kind: 'run', model: 1, request: 1 }, {}, [new Uint8Array(20_000)]));
    bytes.writeUInt32LE(size, HEAD_BYTES);
    expect(() => readAll(bytes, [])).toThrow(what);
  });

  test('with metadata that is not JSON are refused', () => {
    const bytes = Buffer.concat(encodeFrame({ kind: 'load', model: 1, request: 0 }, { a: 1 }));
    bytes[HEAD_BYTES] = 0x78;
    expect(() => readAll(bytes, [])).toThrow('Cannot read frame: metadata is not JSON');
  });

  test('of random bytes or with flipped bits are read or refused with one line, never worse', () => {
    const good = Buffer.concat(encodeFrame({ kind: 'reply', model: 1, request: 2 }, { a: [1, 'b'] }, [new Uint8Array(20)]));
    const flipped = fc.array(fc.nat(good.length * 8 - 1), { minLength: 1, maxLength: 4 }).map((bits) => {
      const bytes = Buffer.from(good);
      for (const bit of bits) bytes[bit >> 3]! ^= 1 << (bit & 7);
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), flipped), (bytes) => {
        const reader = new FrameReader(() => undefined, 1 << 20);
        try {
          reader.push(bytes);
        } catch (error) {
          expect((error as Error).message).toMatch(/^Cannot read frame: /);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
