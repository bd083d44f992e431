import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { InferenceError, InferenceResponse, tensor, type TensorOf } from '../../../src/client/index.ts';

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(InferenceError);
    expect((thrown as InferenceError).reason).toBe('invalid_request');
    return (thrown as InferenceError).message;
  }
  throw new Error('expected a refusal');
}

/** Reads a tensor back as a client reads an output. */
function answer(made: ReturnType<typeof tensor>): InferenceResponse {
  return new InferenceResponse({ modelName: 'm', outputs: [made] });
}

describe('tensor', () => {
  it('uses a typed array of its datatype in place', () => {
    const pixels = new Float32Array(64);
    const made = tensor('input', 'FP32', [1, 64], pixels);
    expect(made.data).toBe(pixels);
    expectTypeOf(made).toEqualTypeOf<TensorOf<'FP32'>>();
    expectTypeOf(made.data).toEqualTypeOf<Float32Array>();
  });

  it('refuses at compile time what is no element of the datatype', () => {
    // @ts-expect-error INT64 takes bigint
    refusal(() => tensor('x', 'INT64', [1], [1]));
    // @ts-expect-error FP32 takes no Float64Array
    refusal(() => tensor('x', 'FP32', [1], new Float64Array(1)));
    // @ts-expect-error BOOL takes boolean
    refusal(() => tensor('x', 'BOOL', [1], [1]));
  });

  it('converts plain values of every datatype', () => {
    expect(tensor('x', 'BOOL', [2], [true, false]).data).toEqual(Uint8Array.of(1, 0));
    expect(tensor('x', 'UINT8', [2], [0, 255]).data).toEqual(Uint8Array.of(0, 255));
    expect(tensor('x', 'UINT16', [1], [65535]).data).toEqual(Uint16Array.of(65535));
    expect(tensor('x', 'UINT32', [1], [2 ** 32 - 1]).data).toEqual(Uint32Array.of(2 ** 32 - 1));
    expect(tensor('x', 'UINT64', [1], [2n ** 64n - 1n]).data).toEqual(BigUint64Array.of(2n ** 64n - 1n));
    expect(tensor('x', 'INT8', [2], [-128, 127]).data).toEqual(Int8Array.of(-128, 127));
    expect(tensor('x', 'INT16', [1], [-32768]).data).toEqual(Int16Array.of(-32768));
    expect(tensor('x', 'INT32', [1], [-(2 ** 31)]).data).toEqual(Int32Array.of(-(2 ** 31)));
    expect(tensor('x', 'INT64', [1], [-(2n ** 63n)]).data).toEqual(BigInt64Array.of(-(2n ** 63n)));
    expect(tensor('x', 'FP16', [2], [1, 6.8]).data).toEqual(Uint16Array.of(0x3c00, 0x46cd));
    expect(tensor('x', 'BF16', [1], [1]).data).toEqual(Uint16Array.of(0x3f80));
    expect(tensor('x', 'FP32', [2], [1.5, NaN]).data).toEqual(Float32Array.of(1.5, NaN));
    expect(tensor('x', 'FP64', [1], [0.1]).data).toEqual(Float64Array.of(0.1));
  });

  it('takes the bits of FP16 and BF16 as Uint16Array', () => {
    const bits = Uint16Array.of(0x3c00);
    expect(tensor('x', 'FP16', [1], bits).data).toBe(bits);
    expect(tensor('x', 'BF16', [1], bits).data).toBe(bits);
  });

  it('refuses values outside their datatype and names the element', () => {
    expect(refusal(() => tensor('x', 'INT8', [2], [1, 128]))).toBe(
      'Cannot make element 1 of input "x": expected an integer from -128 to 127 for INT8, got 128',
    );
    expect(refusal(() => tensor('x', 'UINT8', [1], [-1]))).toContain('got -1');
    expect(refusal(() => tensor('x', 'INT32', [1], [1.5]))).toContain('got 1.5');
    expect(refusal(() => tensor('x', 'UINT32', [1], [NaN]))).toContain('got NaN');
    expect(refusal(() => tensor('x', 'UINT64', [1], [-1n]))).toContain('got bigint -1');
    expect(refusal(() => tensor('x', 'BOOL', [1], Uint8Array.of(2)))).toContain('element 0 of input "x"');
    expect(refusal(() => tensor('x', 'FP32', [1], ['1'] as unknown as number[]))).toContain('got text "1"');
    expect(refusal(() => tensor('x', 'FP32', [1], [null] as unknown as number[]))).toContain('got null');
    expect(refusal(() => tensor('x', 'FP32', [1], 7 as unknown as number[]))).toContain('expected Float32Array or an array');
    expect(refusal(() => tensor('x', 'BYTES', [2], ['a', Uint8Array.of(1)] as unknown as string[]))).toContain('only strings, or only Uint8Arrays');
    expect(refusal(() => tensor('x', 'BYTES', [1], 'abc' as unknown as string[]))).toContain('expected an array');
  });

  it('refuses a number of elements that does not fit the shape', () => {
    expect(refusal(() => tensor('x', 'FP32', [2, 3], [1, 2]))).toBe('Cannot read input "x": shape [2,3] has 6 elements, got 2');
    expect(refusal(() => tensor('x', 'BYTES', [1], []))).toContain('has 1 elements, got 0');
    expect(refusal(() => tensor('x', 'FP32', [-1], []))).toContain('expected non-negative integers');
  });

  it('takes scalars and tensors without elements', () => {
    expect(tensor('x', 'INT64', [], [5n]).shape).toEqual([]);
    expect(tensor('x', 'FP32', [0, 64], []).data).toHaveLength(0);
    expect(answer(tensor('x', 'BYTES', [0], [])).strings('x')).toEqual([]);
  });

  it('keeps parameters in a record without prototype', () => {
    const made = tensor('x', 'FP32', [1], [1], JSON.parse('{"__proto__": 5}') as Record<string, number>);
    expect(Object.keys(made.parameters ?? {})).toEqual(['__proto__']);
  });

  it('reads back any text and any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (texts) => {
        expect(answer(tensor('x', 'BYTES', [texts.length], texts)).strings('x')).toEqual(texts);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (elements) => {
        expect(answer(tensor('x', 'BYTES', [elements.length], elements)).bytes('x')).toEqual(elements);
      }),
    );
  });
});
