import { describe, expect, test } from 'vitest';
import type { Signature } from '../../../src/core/metadata.ts';
import { checkOutputs } from '../../../src/pipeline/index.ts';

const signature: Signature = {
  inputs: [],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'scores', datatype: 'FP32', shape: [-1, 3] },
  ],
};

describe('checkOutputs', () => {
  test('gives the names in the order asked for, and none for all', () => {
    expect(checkOutputs([{ name: 'scores' }, { name: 'label' }], signature, 'm')).toEqual(['scores', 'label']);
    expect(checkOutputs([], signature, 'm')).toEqual([]);
    expect(checkOutputs(undefined, signature, 'm')).toEqual([]);
  });

  test('refuses unknown and repeated names', () => {
    expect(() => checkOutputs([{ name: 'x' }], signature, 'm')).toThrow('Unexpected output "x" for model "m": expected "label", "scores"');
    expect(() => checkOutputs([{ name: 'label' }, { name: 'label' }], signature, 'm')).toThrow(
      'Duplicate output "label" for model "m": expected it once',
    );
  });
});
