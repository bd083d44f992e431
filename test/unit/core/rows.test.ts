import { describe, expect, it } from 'vitest';
import type { Signature, TensorMetadata } from '../../../src/core/metadata.ts';
import { formOf, rowsOf, whyNoRows } from '../../../src/core/rows.ts';
import { createParameters, type ParameterValue, type Tensor } from '../../../src/core/tensor.ts';

const declared = (name: string, shape: readonly number[], ...dimensionNames: (string | undefined)[]): TensorMetadata =>
  dimensionNames.length === 0 ? { name, datatype: 'FP32', shape } : { name, datatype: 'FP32', shape, dimensionNames };
const signature = (inputs: readonly TensorMetadata[], outputs: readonly TensorMetadata[]): Signature => ({ inputs, outputs });
const x = (shape: readonly number[], parameters?: Readonly<Record<string, ParameterValue>>): Tensor => ({
  name: 'x',
  datatype: 'FP32',
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
  ...(parameters === undefined ? {} : { parameters }),
});

describe('whyNoRows', () => {
  it.each([
    ['one name in all', signature([declared('x', [-1, 4], 'batch', undefined)], [declared('y', [-1], 'batch')])],
    ['no names', signature([declared('x', [-1, 4])], [declared('y', [-1])])],
    ['names that a converter made up', signature([declared('x', [-1], 'unk__6')], [declared('y', [-1], 'unk__7')])],
    ['a name here and none there', signature([declared('x', [-1], 'batch')], [declared('y', [-1])])],
  ])('has nothing against %s', (_, given) => {
    expect(whyNoRows(given)).toBeUndefined();
  });

  it.each([
    [
      'two names',
      signature([declared('x', [-1], 'batch')], [declared('y', [-1], 'time')]),
      'the first dimension is "batch" in input "x" and "time" in output "y"',
    ],
    ['a fixed number of rows', signature([declared('x', [1, 4])], [declared('y', [-1])]), 'the first dimension of input "x" does not vary'],
    ['a scalar', signature([declared('x', [-1])], [declared('y', [])]), 'the first dimension of output "y" does not vary'],
    ['no inputs', signature([], [declared('y', [-1])]), 'its inputs are not declared'],
    ['an open signature', { isOpen: true, ...signature([declared('x', [-1])], []) } as const, 'its inputs are not declared'],
  ])('refuses %s', (_, given, why) => {
    expect(whyNoRows(given)).toBe(why);
  });
});

describe('rowsOf', () => {
  it('is the first dimension that all inputs have in common, else undefined', () => {
    expect(rowsOf([x([3, 2]), { ...x([3]), name: 'z' }])).toBe(3);
    expect(rowsOf([x([3, 2]), { ...x([2]), name: 'z' }])).toBeUndefined();
    expect([rowsOf([x([])]), rowsOf([])]).toEqual([undefined, undefined]);
  });
});

describe('formOf', () => {
  const form = (inputs: readonly Tensor[], rest: object = {}): string => formOf({ inputs, ...rest });

  it('is the same for requests that differ in rows, values, and parameters that say when and how they travel', () => {
    const schedule = {
      parameters: createParameters([
        ['priority', 2],
        ['timeout', 100n],
        ['binary_data_output', true],
      ]),
    };
    expect(form([x([5, 2], { binary_data_size: 40 })], schedule)).toBe(form([x([1, 2])]));
    expect(form([x([1, 2])], { outputs: [{ name: 'y', parameters: createParameters([['binary_data', true]]) }] })).toBe(
      form([x([2, 2])], { outputs: [{ name: 'y' }] }),
    );
  });

  it.each<[string, readonly Tensor[], object]>([
    ['trailing shape', [x([1, 3])], {}],
    ['rank', [x([1, 2, 1])], {}],
    ['name', [{ ...x([1, 2]), name: 'z' }], {}],
    ['datatype', [{ ...x([1, 2]), datatype: 'FP64' }], {}],
    ['parameters of a tensor', [x([1, 2], { scale: 2 })], {}],
    ['parameters', [x([1, 2])], { parameters: createParameters([['top_k', 2]]) }],
    ['outputs', [x([1, 2])], { outputs: [{ name: 'y' }] }],
    ['number of inputs', [x([1, 2]), x([1, 2])], {}],
  ])('tells requests apart by %s', (_, inputs, rest) => {
    expect(form(inputs, rest)).not.toBe(form([x([1, 2])]));
  });

  it('takes no part of a name for something else, and no number for its text', () => {
    expect(form([{ ...x([1, 2]), name: 'x"FP32,2;"x' }])).not.toBe(form([x([1, 2]), x([1, 2])]));
    const one = form([x([1])], { parameters: createParameters([['k', 1]]) });
    expect(form([x([1])], { parameters: createParameters([['k', '1']]) })).not.toBe(one);
    const formOfNumber = (k: number): string => form([x([1])], { parameters: createParameters([['k', k]]) });
    expect(new Set([0, -0, NaN, Infinity, -Infinity].map(formOfNumber)).size).toBe(5);
  });
});
