import { describe, expect, it } from 'vitest';
import { isSameAnswer } from '../../../src/bench/same-answer.ts';
import { bytesFromStrings } from '../../../src/core/tensor-bytes.ts';
import type { Tensor } from '../../../src/core/tensor.ts';

function floats(...values: number[]): Tensor {
  return { name: 'y', datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) };
}

const LABEL: Tensor = { name: 'label', datatype: 'INT64', shape: [1], data: BigInt64Array.of(7n) };

describe('isSameAnswer', () => {
  it('takes the rounding of another order of adding, and outputs in any order', () => {
    expect(isSameAnswer([LABEL, floats(1, 1e-9)], [floats(1 + 1e-6, 0), LABEL])).toBe(true);
  });

  it.each<[string, readonly Tensor[], readonly Tensor[]]>([
    ['another float', [floats(1.001)], [floats(1)]],
    ['a NaN', [floats(NaN)], [floats(1)]],
    ['an infinity', [floats(Infinity)], [floats(1)]],
    ['another label', [{ ...LABEL, data: BigInt64Array.of(8n) }], [LABEL]],
    ['another shape', [{ ...floats(1, 2), shape: [2, 1] }], [floats(1, 2)]],
    ['another datatype', [{ ...floats(1), datatype: 'FP64', data: Float64Array.of(1) }], [floats(1)]],
    [
      'another text',
      [{ ...LABEL, datatype: 'BYTES', data: bytesFromStrings(['a']) }],
      [{ ...LABEL, datatype: 'BYTES', data: bytesFromStrings(['b']) }],
    ],
    ['a missing output', [LABEL], [LABEL, floats(1)]],
    ['a further output', [LABEL, floats(1)], [LABEL]],
  ])('%s is wrong', (_what, got, expected) => {
    expect(isSameAnswer(got, expected)).toBe(false);
  });

  it('takes NaN for NaN and infinity for infinity', () => {
    expect(isSameAnswer([floats(NaN, Infinity)], [floats(NaN, Infinity)])).toBe(true);
  });

  it('compares halves by value', () => {
    const half = (bits: number): Tensor => ({ name: 'h', datatype: 'FP16', shape: [1], data: Uint16Array.of(bits) });
    expect(isSameAnswer([half(0x3c00)], [half(0x3c01)])).toBe(true);
    expect(isSameAnswer([half(0x3c00)], [half(0x4000)])).toBe(false);
  });
});
