import { describe, expect, test } from 'vitest';
import type { Datatype } from '../../../src/core/datatype.ts';
import { isServingError } from '../../../src/core/errors.ts';
import type { Signature } from '../../../src/core/metadata.ts';
import type { Tensor, TensorData } from '../../../src/core/tensor.ts';
import { checkInputs } from '../../../src/pipeline/index.ts';

const signature: Signature = {
  inputs: [
    { name: 'a', datatype: 'FP32', shape: [-1, 2] },
    { name: 'b', datatype: 'BYTES', shape: [1] },
    { name: 'any', datatype: 'INT64', shape: [] },
  ],
  outputs: [],
};

const tensor = (name: string, datatype: Datatype, shape: readonly number[], data: TensorData): Tensor => ({ name, datatype, shape, data });
const a = tensor('a', 'FP32', [1, 2], new Float32Array(2));
const b = tensor('b', 'BYTES', [1], { bytes: new Uint8Array(4), offsets: new Uint32Array([0, 4]) });
const any = tensor('any', 'INT64', [2, 1], new BigInt64Array(2));

function refusal(inputs: readonly Tensor[], of: Signature = signature): string {
  try {
    checkInputs(inputs, of, 'm');
  } catch (error) {
    expect(isServingError(error) && error.reason).toBe('invalid_request');
    return (error as Error).message;
  }
  throw new Error('Expected a refusal');
}

describe('checkInputs', () => {
  test('accepts inputs in any order, varying dimensions of any size, and any shape where the rank is unknown', () => {
    checkInputs([any, b, a], signature, 'm');
    checkInputs([a, b, tensor('any', 'INT64', [], new BigInt64Array(1))], signature, 'm');
    checkInputs([tensor('a', 'FP32', [0, 2], new Float32Array(0)), b, any], signature, 'm');
  });

  test('names an unknown input and what was expected', () => {
    expect(refusal([a, b, any, tensor('x', 'FP32', [1], new Float32Array(1))])).toBe('Unexpected input "x" for model "m": expected "a", "b", "any"');
  });

  test('names a missing input and what was expected', () => {
    expect(refusal([a, any])).toBe('Missing input "b" for model "m": expected "a", "b", "any"');
  });

  test('refuses an input given twice', () => {
    expect(refusal([a, b, any, a])).toBe('Duplicate input "a" for model "m": expected it once');
  });

  test.each([
    [tensor('a', 'FP64', [1, 2], new Float64Array(2)), 'Cannot use input "a": expected FP32 [-1,2], got FP64 [1,2]'],
    [tensor('a', 'FP32', [1, 3], new Float32Array(3)), 'Cannot use input "a": expected FP32 [-1,2], got FP32 [1,3]'],
    [tensor('a', 'FP32', [2], new Float32Array(2)), 'Cannot use input "a": expected FP32 [-1,2], got FP32 [2]'],
    [tensor('a', 'FP32', [-1, 2], new Float32Array(2)), 'Cannot read shape of input "a": expected non-negative integers, got [-1,2]'],
    [tensor('a', 'FP32', [2, 2], new Float32Array(3)), 'Cannot read input "a": shape [2,2] has 4 elements, got 3'],
    [tensor('a', 'FP32', [1, 2], new Float64Array(2)), 'Cannot use input "a": its data is not stored as FP32'],
    [
      tensor('a', 'FP32', [1, 2], { bytes: new Uint8Array(8), offsets: new Uint32Array([0, 4, 8]) }),
      'Cannot use input "a": its data is not stored as FP32',
    ],
  ])('refuses %j', (bad, message) => {
    expect(refusal([bad, b, any])).toBe(message);
  });

  test('refuses BYTES stored as numbers', () => {
    expect(refusal([a, tensor('b', 'BYTES', [1], new Uint8Array(1)), any])).toBe('Cannot use input "b": its data is not stored as BYTES');
  });

  test('treats names of the prototype as ordinary names', () => {
    expect(refusal([tensor('__proto__', 'FP32', [1], new Float32Array(1))])).toMatch('Unexpected input "__proto__"');
  });

  test('keeps messages short when names are long or many', () => {
    const many: Signature = { inputs: Array.from({ length: 500 }, (_, i) => ({ name: `i${i}`, datatype: 'FP32', shape: [] })), outputs: [] };
    const message = refusal([tensor('x'.repeat(1_000_000), 'FP32', [], new Float32Array(1))], many);
    expect(message).toMatch(/"i15" and 484 more$/);
    expect(message.length).toBeLessThan(500);
  });

  test('says so when the model takes no inputs', () => {
    expect(refusal([a], { inputs: [], outputs: [] })).toBe('Unexpected input "a" for model "m": expected no inputs');
  });
});
