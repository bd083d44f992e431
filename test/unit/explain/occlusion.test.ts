import { expect, test } from 'vitest';
import type { InferResponse } from '../../../src/core/infer.ts';
import { createParameters, type ParameterValue } from '../../../src/core/tensor.ts';
import { createOcclusion } from '../../../src/explain/occlusion.ts';
import { tensorOf } from '../../support/vectors.ts';
import { contextOf, DEPS, fakeModel, requestOf, SETTINGS, valuesOf, type FakeModel, type RowFunction } from './fake-model.ts';

interface Occluding {
  readonly model: FakeModel;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
}

function explain({ model, shape, values, parameters = {} }: Occluding): Promise<InferResponse> {
  const explainer = createOcclusion(SETTINGS, DEPS);
  const request = requestOf([tensorOf('x', 'FP64', shape, values)], createParameters(Object.entries(parameters)));
  return explainer(request, model, model.predict, contextOf());
}

/** Class 0 looks at one element, class 1 at nothing. */
const lookingAt =
  (element: number): RowFunction =>
  (row) => [row[element]!, 0.5];

const ONES = Array.from({ length: 48 }, () => 1);

test.each([
  ['[H,W]', [1, 6, 8], 2 * 8 + 3],
  ['[C,H,W]', [1, 3, 4, 4], 16 + 2 * 4 + 1],
  ['[H,W,C]', [1, 4, 4, 3], (2 * 4 + 1) * 3 + 2],
])('in %s the pixel that the class depends on is the hot one', async (_, shape, element) => {
  const response = await explain({ model: fakeModel(lookingAt(element)), shape, values: ONES, parameters: { patch: 1 } });
  const heat = valuesOf(response, 'heat_map');
  const pixel = shape.length === 3 ? 2 * 8 + 3 : 2 * 4 + 1;
  expect(heat.length).toBe(shape.length === 3 ? 48 : 16);
  heat.forEach((fall, at) => {
    expect(fall).toBe(at === pixel ? 1 : 0);
  });
  expect(valuesOf(response, 'class')).toEqual([0]);
  expect(valuesOf(response, 'prediction')).toEqual([1]);
});

test('a flat row of 64 values is an image of 8 x 8, each row of a request on its own', async () => {
  const values = [...Array.from({ length: 64 }, () => 1), ...Array.from({ length: 64 }, () => 0.25)];
  const model = fakeModel(lookingAt(63));
  const response = await explain({ model, shape: [2, 64], values, parameters: { patch: 3, stride: 2 } });
  expect(response.outputs[0]!.shape).toEqual([2, 8, 8]);
  expect(valuesOf(response, 'class')).toEqual([0, 1]);
  const heat = valuesOf(response, 'heat_map');
  expect(heat[63]).toBe(1);
  expect(heat[0]).toBe(0);
  // Nothing that is covered changes class 1.
  expect(heat.slice(64)).toEqual(Array.from({ length: 64 }, () => 0));
});

test('every pixel is covered, whatever patch and stride', async () => {
  for (let patch = 1; patch <= 6; patch++) {
    for (let stride = 1; stride <= patch; stride++) {
      const model = fakeModel((row) => [row.reduce((sum, x) => sum + x, 0)]);
      const response = await explain({ model, shape: [1, 6, 8], values: ONES, parameters: { patch, stride } });
      expect(new Set(valuesOf(response, 'heat_map'))).toEqual(new Set([patch * patch]));
    }
  }
});

test('class and baseline of the request are used', async () => {
  const model = fakeModel((row) => [9, row[0]!]);
  const response = await explain({ model, shape: [1, 2, 2], values: [1, 1, 1, 1], parameters: { patch: 1, class: 1, baseline: -2 } });
  expect(valuesOf(response, 'heat_map')).toEqual([3, 0, 0, 0]);
  expect(valuesOf(response, 'class')).toEqual([1]);
});

test.each<[Partial<Occluding>, RegExp]>([
  [{ shape: [1, 48] }, /by occlusion: expected images as \[H,W\].*got \[48\]/],
  [{ parameters: { patch: 7 } }, /square of 7 pixels: expected at most 6 for an image of 6 x 8/],
  [{ parameters: { patch: 2, stride: 3 } }, /Cannot go 3 pixels from square to square: expected at most the edge of the square, 2/],
  [{ parameters: { class: 2 } }, /class 2: expected 0 to 1/],
  [{ parameters: { baseline: 'black' } }, /parameter "baseline": expected a number, got "black"/],
])('%j is refused', async (changes, message) => {
  const asked = explain({ model: fakeModel(lookingAt(0)), shape: [1, 6, 8], values: ONES, ...changes });
  await expect(asked).rejects.toMatchObject({ reason: 'invalid_request', message: expect.stringMatching(message) as string });
});

test('a baseline that the datatype cannot hold is refused', async () => {
  const model = fakeModel(lookingAt(0), { datatype: 'UINT8' });
  const request = requestOf([tensorOf('x', 'UINT8', [1, 2, 2], [1, 2, 3, 4])], createParameters([['baseline', 0.5]]));
  const asked = createOcclusion(SETTINGS, DEPS)(request, model, model.predict, contextOf());
  await expect(asked).rejects.toThrow(/the baseline for a model that takes UINT8: expected whole numbers from 0 to 255, got 0\.5/);
});
