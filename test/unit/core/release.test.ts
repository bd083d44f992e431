import { describe, expect, test } from 'vitest';
import { isTaken, releaseBuffer, releaseOutputs, releaseTensors, takeBuffer, takeData, takeTail } from '../../../src/core/release.ts';
import type { Tensor } from '../../../src/core/tensor.ts';

const LARGE = 1 << 20;

function floats(name: string, data: Float32Array): Tensor {
  return { name, datatype: 'FP32', shape: [data.length], data };
}

describe('a released buffer', () => {
  test('has no memory any more, nor have its views', () => {
    const view = new Uint8Array(LARGE);
    releaseBuffer(view.buffer);
    expect([view.buffer.byteLength, view.length]).toEqual([0, 0]);
  });

  test('that was released before is left alone', () => {
    const buffer = new ArrayBuffer(LARGE);
    releaseBuffer(buffer);
    expect(() => {
      releaseBuffer(buffer);
    }).not.toThrow();
  });

  test('that is small or shared stays as it is', () => {
    const small = new ArrayBuffer(100);
    const shared = new SharedArrayBuffer(LARGE);
    releaseBuffer(small);
    releaseBuffer(shared);
    expect([small.byteLength, shared.byteLength]).toEqual([100, LARGE]);
  });
});

describe('released tensors', () => {
  test('give their memory back, strings too', () => {
    const x = floats('x', new Float32Array(LARGE));
    const bytes = new Uint8Array(LARGE);
    const s: Tensor = { name: 's', datatype: 'BYTES', shape: [1], data: { bytes, offsets: Uint32Array.of(0, LARGE) } };
    releaseTensors([x, s], []);
    expect([x.data, bytes].map((data) => (data as Uint8Array).byteLength)).toEqual([0, 0]);
  });

  test('keep memory in which a kept tensor lies', () => {
    const data = new Float32Array(LARGE).fill(1);
    releaseTensors([floats('x', data)], [floats('y', data.subarray(0, 2))]);
    expect(data[LARGE - 1]).toBe(1);
  });

  test('that are small keep theirs: other requests may have a part in it', () => {
    const storage = new ArrayBuffer(64 * 1024);
    releaseTensors([floats('x', new Float32Array(storage, 0, 16))], []);
    expect(storage.byteLength).toBe(64 * 1024);
  });

  test('may share a buffer', () => {
    const data = new Float32Array(LARGE);
    releaseTensors([floats('x', data), floats('y', data.subarray(10))], []);
    expect(data.byteLength).toBe(0);
  });
});

describe('a taken buffer that was given back', () => {
  test('serves the next that asks for its size, and what looked at it is empty', () => {
    const first = new Uint8Array(takeBuffer(LARGE)).fill(7);
    releaseBuffer(first.buffer);
    const second = takeBuffer(LARGE);
    expect(first.length).toBe(0);
    expect(new Uint8Array(second)[LARGE - 1]).toBe(7);
    expect(isTaken(second)).toBe(true);
  });

  test("is nobody else's, however often it was given back", () => {
    const buffer = takeBuffer(LARGE);
    releaseBuffer(buffer);
    releaseBuffer(buffer);
    expect(takeBuffer(LARGE)).not.toBe(takeBuffer(LARGE));
  });

  test('is kept only up to a bound', () => {
    const sizes = Array.from({ length: 10 }, (_, i) => (1 << 22) - 8 * i);
    const buffers = sizes.map((size) => takeBuffer(size));
    for (const buffer of buffers) {
      new Uint8Array(buffer).fill(1);
      releaseBuffer(buffer);
    }
    const again = sizes.map((size) => new Uint8Array(takeBuffer(size))[0]);
    expect(again.filter((byte) => byte === 1)).toHaveLength(4);
  });
});

describe('room for a message', () => {
  test.each([1 << 18, 300_001, (1 << 20) + 13])('of %i bytes ends where a tensor would be aligned', (bytes) => {
    const room = takeTail(bytes);
    expect(room.length).toBe(bytes);
    expect((room.byteOffset + room.length) % 64).toBe(0);
  });
});

describe('released outputs', () => {
  test('give back what was taken for them', () => {
    const data = takeData('FP32', LARGE / 4);
    releaseOutputs([floats('y', data)]);
    expect(data.length).toBe(0);
  });

  test('keep a buffer in which rows of other requests lie, and those of others', () => {
    const batch = takeData('FP32', LARGE / 4);
    const foreign = new Float32Array(LARGE / 4);
    releaseOutputs([floats('y', batch.subarray(0, 100)), floats('z', foreign)]);
    expect([batch.length, foreign.length]).toEqual([LARGE / 4, LARGE / 4]);
  });
});
