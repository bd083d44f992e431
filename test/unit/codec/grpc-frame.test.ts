import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES, frameFlag, frameLength, writeFrameHeader } from '../../../src/codec/index.ts';
import type { InferResponse } from '../../../src/core/infer.ts';
import { encodeModelInferResponse } from '../../support/proto-messages.ts';

describe('the header of a gRPC frame', () => {
  it('of any length comes back from anywhere in the bytes', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), fc.nat({ max: 9 }), (length, at) => {
        const bytes = new Uint8Array(at + FRAME_HEADER_BYTES).fill(0xff);
        writeFrameHeader(bytes, length, at);
        expect([frameFlag(bytes, at), frameLength(bytes, at)]).toEqual([0, length]);
      }),
    );
  });

  it('has its length in network order', () => {
    const bytes = new Uint8Array(5);
    writeFrameHeader(bytes, 0x01020304);
    expect([...bytes]).toEqual([0, 1, 2, 3, 4]);
  });

  it('finds its room before a message that was encoded with headroom', () => {
    const response: InferResponse = { modelName: 'm', outputs: [{ name: 'y', datatype: 'UINT8', shape: [300], data: new Uint8Array(300).fill(7) }] };
    for (const raw of [true, false]) {
      const plain = encodeModelInferResponse(response, { raw });
      const roomy = encodeModelInferResponse(response, { raw, headroom: FRAME_HEADER_BYTES });
      expect(roomy.subarray(FRAME_HEADER_BYTES)).toEqual(plain);
    }
  });
});
