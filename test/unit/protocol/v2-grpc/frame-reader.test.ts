import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../../src/protocol/v2-grpc/frame-reader.ts';

function frame(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The messages that come of the bytes, cut at the given places. */
function read(bytes: Buffer, cuts: readonly number[], maxBytes = -1): { messages: [Buffer, boolean][]; reader: FrameReader } {
  const messages: [Buffer, boolean][] = [];
  const reader = new FrameReader(maxBytes, (message, isCompressed) => messages.push([Buffer.from(message), isCompressed]));
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  for (let i = 1; i < places.length; i++) reader.push(bytes.subarray(places[i - 1], places[i]));
  return { messages, reader };
}

describe('FrameReader', () => {
  it('gives the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean()), { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (sent, cuts) => {
          const bytes = Buffer.concat(sent.map(([message, isCompressed]) => frame(message, isCompressed ? 1 : 0)));
          const { messages, reader } = read(bytes, cuts);
          expect(messages.map(([message, isCompressed]) => [[...message], isCompressed])).toEqual(
            sent.map(([message, flag]) => [[...message], flag]),
          );
          expect(reader.isPartial).toBe(false);
          expect(reader.heldBytes).toBe(0);
        },
      ),
    );
  });

  it('puts megabytes in chunks together without more memory than they take', () => {
    const message = Buffer.alloc(5_000_001, 7);
    message[4_000_000] = 9;
    const bytes = frame(message);
    let largest = 0;
    const got: Buffer[] = [];
    const reader = new FrameReader(-1, (whole) => got.push(whole));
    for (let at = 0; at < bytes.length; at += 16_384) {
      reader.push(bytes.subarray(at, at + 16_384));
      largest = Math.max(largest, reader.heldBytes);
    }
    expect(got[0]?.equals(message)).toBe(true);
    expect(largest).toBe(message.length);
  });

  it('keeps little for a message that only announces its size', () => {
    const reader = new FrameReader(-1, () => undefined);
    reader.push(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1]));
    expect(reader.isPartial).toBe(true);
    expect(reader.heldBytes).toBeLessThanOrEqual(1 << 20);
  });

  it.each([1, 2, 3, 4])('in a header after %d bytes is in the middle of a message', (count) => {
    expect(read(Buffer.alloc(5).subarray(0, count), []).reader.isPartial).toBe(true);
  });

  it('refuses a message beyond the limit as soon as it is announced', () => {
    expect(() => read(frame(Buffer.alloc(11)).subarray(0, 5), [], 10)).toThrow(
      'expected at most 10 bytes (--grpc_max_receive_message_length), got 11',
    );
    expect(read(frame(Buffer.alloc(10)), [], 10).messages).toHaveLength(1);
  });

  it('refuses a flag that is no flag', () => {
    expect(() => read(frame(Buffer.alloc(1), 2), [])).toThrow('Cannot read the message: expected compressed flag 0 or 1, got 2');
  });
});
