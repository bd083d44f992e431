import { describe, expect, it } from 'vitest';
import { makeInputs } from '../../../src/bench/inputs.ts';
import { DATATYPES } from '../../../src/core/datatype.ts';
import type { TensorMetadata } from '../../../src/core/metadata.ts';
import { createRandom } from '../../../src/core/random.ts';
import { checkTensor } from '../../../src/core/tensor.ts';

const IMAGE: TensorMetadata = { name: 'image', datatype: 'FP32', shape: [-1, 3, -1] };

describe('makeInputs', () => {
  it.each(DATATYPES)('makes whole %s tensors', (datatype) => {
    const [made] = makeInputs([{ name: 'x', datatype, shape: [-1, 5] }], new Map(), createRandom(1));
    expect(made).toMatchObject({ name: 'x', datatype, shape: [1, 5] });
    if (made !== undefined) checkTensor(made, 'x');
  });

  it('takes the shapes that are given, and 1 for what varies else', () => {
    const [image, other] = makeInputs([IMAGE, { ...IMAGE, name: 'other' }], new Map([['image', [2, 3, 4]]]), createRandom(1));
    expect([image?.shape, other?.shape]).toEqual([
      [2, 3, 4],
      [1, 3, 1],
    ]);
  });

  it('makes the same of the same seed', () => {
    const of = (seed: number): unknown => makeInputs([IMAGE], new Map(), createRandom(seed));
    expect(of(4)).toEqual(of(4));
    expect(of(4)).not.toEqual(of(5));
  });

  it.each<[readonly number[], string]>([
    [[2, 4, 4], 'Cannot use --shape of input "image": expected [-1,3,-1], got [2,4,4]'],
    [[2, 3], 'Cannot use --shape of input "image": expected [-1,3,-1], got [2,3]'],
  ])('refuses shape %j', (shape, message) => {
    expect(() => makeInputs([IMAGE], new Map([['image', shape]]), createRandom(1))).toThrow(message);
  });

  it('refuses a shape of no input', () => {
    expect(() => makeInputs([IMAGE], new Map([['picture', [1]]]), createRandom(1))).toThrow(
      'Cannot use --shape of input "picture": the model has "image"',
    );
  });
});
