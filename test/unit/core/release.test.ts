import { describe, expect, test } from 'vitest';
import { releaseBuffer, releaseTensors } from '../../../src/core/release.ts';
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
