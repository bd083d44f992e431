import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferResponse } from '../../../src/core/infer.ts';
import { NO_CAPABILITIES } from '../../../src/core/metadata.ts';
import { StopSource } from '../../../src/core/stop-signal.ts';
import { createParameters, type ParameterValue } from '../../../src/core/tensor.ts';
import { engineByName } from '../../../src/engine/index.ts';
import type { Background } from '../../../src/explain/background.ts';
import { createKernelShap } from '../../../src/explain/kernel-shap.ts';
import type { ExplainerSettings } from '../../../src/explain/options.ts';
import { bytesData, modelDir, tensorOf, tensorValues } from '../../support/vectors.ts';
import { contextOf, DEPS, fakeModel, requestOf, rowsOf, SETTINGS, valuesOf, type FakeModel } from './fake-model.ts';

function backgroundOf(rows: readonly (readonly number[])[]): Background {
  return {
    path: 'background.csv',
    byInput: new Map(),
    unnamed: { rows: rows.length, width: rows[0]!.length, values: Float64Array.from(rows.flat()) },
  };
}

interface Explaining {
  readonly model: FakeModel;
  readonly rows: readonly (readonly number[])[];
  readonly background: readonly (readonly number[])[];
  readonly settings?: Partial<ExplainerSettings>;
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
}

function explain({ model, rows, background, settings, parameters }: Explaining): Promise<InferResponse> {
  const explainer = createKernelShap({ ...SETTINGS, ...settings }, backgroundOf(background), DEPS);
  const request = requestOf([rowsOf(rows)], parameters === undefined ? undefined : createParameters(Object.entries(parameters)));
  return explainer(request, model, model.predict, contextOf());
}

/** Rows of pseudo-random values that no two features share. */
function wave(rows: number, width: number, phase: number): number[][] {
  return Array.from({ length: rows }, (_, row) => Array.from({ length: width }, (__, i) => Math.sin(i * 0.9 + row * 1.3 + phase)));
}

const curved = (row: readonly number[]): number[] => {
  const weighted = row.reduce((sum, value, i) => sum + value * Math.cos(i * 1.7), 0);
  return [Math.tanh(weighted) + row[0]! * row[1]! * row[2]!, row.reduce((sum, value) => sum + Math.sin(value), 0) + row[3]! * row.at(-1)!];
};

/** Largest difference between the sum over the features of a row and prediction - expected_value. */
function additivityError(response: InferResponse): number {
  const [shap, expected, prediction] = ['shap_values', 'expected_value', 'prediction'].map((name) => valuesOf(response, name));
  const outputs = response.outputs[1]!.shape[1]!;
  const features = shap!.length / expected!.length;
  return Math.max(
    ...expected!.map((mean, at) => {
      const row = Math.floor(at / outputs);
      let sum = 0;
      for (let i = 0; i < features; i++) sum += shap![(row * features + i) * outputs + (at % outputs)]!;
      return Math.abs(sum - (prediction![at]! - mean));
    }),
  );
}

const value = fc.double({ min: -10, max: 10, noNaN: true });
const table = (width: number, maxRows: number): fc.Arbitrary<number[][]> =>
  fc.array(fc.array(value, { minLength: width, maxLength: width }), { minLength: 1, maxLength: maxRows });
const linearCase = fc
  .integer({ min: 1, max: 9 })
  .chain((width) =>
    fc.record({ rows: table(width, 3), background: table(width, 4), weights: fc.array(value, { minLength: width, maxLength: width }) }),
  );

describe('exact values', () => {
  test('of a linear model are weight times distance from the mean', async () => {
    await fc.assert(
      fc.asyncProperty(linearCase, async ({ rows, background, weights }) => {
        const model = fakeModel((row) => [row.reduce((sum, x, i) => sum + x * weights[i]!, 1)]);
        const response = await explain({ model, rows, background });
        const got = valuesOf(response, 'shap_values');
        const means = weights.map((_, i) => background.reduce((sum, row) => sum + row[i]!, 0) / background.length);
        const want = rows.flatMap((row) => row.map((x, i) => weights[i]! * (x - means[i]!)));
        want.forEach((wanted, i) => {
          expect(Math.abs(got[i]! - wanted)).toBeLessThan(1e-9);
        });
      }),
      { numRuns: 60 },
    );
  });

  test('of any model add up to prediction - expected value', async () => {
    await fc.assert(
      fc.asyncProperty(linearCase, async ({ rows, background, weights }) => {
        const dot = (row: readonly number[]): number => row.reduce((sum, x, i) => sum + x * weights[i]!, 0);
        const model = fakeModel((row) => [Math.tanh(dot(row)), row[0]! * row.at(-1)!, Math.max(...row)]);
        const response = await explain({ model, rows, background, settings: { maxRows: 7 } });
        expect(response.parameters).toMatchObject({ exact: true });
        expect(additivityError(response)).toBeLessThan(1e-9);
      }),
      { numRuns: 60 },
    );
  });

  test('are those of the formula over all orders of the features', async () => {
    const [row, background] = [wave(1, 4, 1), wave(3, 4, 0)];
    const got = valuesOf(await explain({ model: fakeModel(curved), rows: row, background }), 'shap_values');
    const worth = (members: ReadonlySet<number>): number =>
      background.reduce((sum, other) => sum + curved(other.map((x, i) => (members.has(i) ? row[0]![i]! : x)))[0]!, 0) / background.length;
    const orders = permutations([0, 1, 2, 3]);
    const want = [0, 1, 2, 3].map((feature) => {
      const gains = orders.map((order) => {
        const before = order.slice(0, order.indexOf(feature));
        return worth(new Set([...before, feature])) - worth(new Set(before));
      });
      return gains.reduce((sum, gain) => sum + gain, 0) / orders.length;
    });
    want.forEach((wanted, i) => {
      expect(got[i * 2]).toBeCloseTo(wanted, 10);
    });
  });

  test('of iris equal those of shap.KernelExplainer', async () => {
    interface Vector {
      readonly shape: number[];
      readonly data: number[];
    }
    const vectors = JSON.parse(readFileSync(join(modelDir('iris-shap'), 'vectors-explain.json'), 'utf8')) as {
      readonly background: Vector;
      readonly input: Vector;
      readonly shap_values: Vector;
      readonly expected_value: number[];
    };
    const engine = await engineByName('onnx');
    const session = await engine.load(
      { path: modelDir('iris-shap') },
      { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 },
      SILENT_LOGGER,
    );
    const { background, input } = vectors;
    const table = { rows: background.shape[0]!, width: background.shape[1]!, values: Float64Array.from(background.data) };
    const explainer = createKernelShap(SETTINGS, { path: 'vectors-explain.json', byInput: new Map(), unnamed: table }, DEPS);
    const model = { name: 'iris', version: '1', signature: session.signature, capabilities: NO_CAPABILITIES };
    const request = requestOf([tensorOf('X', 'FP32', input.shape, input.data)]);
    const response = await explainer(request, model, (inputs, outputs) => session.run(inputs, outputs ?? []), contextOf());
    await session.dispose();

    expect(response.outputs.map(({ name, shape }) => ({ name, shape }))).toEqual([
      { name: 'shap_values', shape: vectors.shap_values.shape },
      { name: 'expected_value', shape: [5, 3] },
      { name: 'prediction', shape: [5, 3] },
    ]);
    expect(response.parameters).toMatchObject({ explainer: 'kernel-shap', exact: true, output: 'probabilities' });
    const got = valuesOf(response, 'shap_values');
    vectors.shap_values.data.forEach((wanted, i) => {
      expect(Math.abs(got[i]! - wanted)).toBeLessThan(1e-6);
    });
    const expected = valuesOf(response, 'expected_value');
    expected.forEach((mean, i) => {
      expect(Math.abs(mean - vectors.expected_value[i % 3]!)).toBeLessThan(1e-6);
    });
    expect(additivityError(response)).toBeLessThan(1e-9);
  });

  test('leave out features that equal the background everywhere, and their cost', async () => {
    const model = fakeModel((row) => [row.reduce((sum, x) => sum + x * x, 0)]);
    const response = await explain({ model, rows: [[1, 7, 3, 7]], background: [[2, 7, 5, 7]] });
    expect(valuesOf(response, 'shap_values')).toEqual([-3, 0, -16, 0].map((wanted) => expect.closeTo(wanted, 10) as number));
    expect(response.parameters).toMatchObject({ evaluations: 4 });
  });

  test.each([
    ['FP32', [1, -2.5, 3]],
    ['INT64', [1, -2, 3]],
    ['UINT8', [1, 2, 3]],
    ['FP16', [1, -2.5, 3]],
  ] as const)('of %s rows of rank 2 have the shape of the row', async (datatype, row) => {
    const model = fakeModel(([a = 0, b = 0, c = 0]) => [a + 2 * b + 3 * c], { datatype });
    const explainer = createKernelShap(SETTINGS, backgroundOf([[0, 0, 0]]), DEPS);
    const response = await explainer(requestOf([tensorOf('x', datatype, [1, 3, 1], row)]), model, model.predict, contextOf());
    expect(response.outputs[0]).toMatchObject({ datatype: 'FP64', shape: [1, 3, 1, 1] });
    expect(valuesOf(response, 'shap_values')).toEqual(row.map((x, i) => expect.closeTo(x * (i + 1), 10) as number));
    expect(model.calls.flat().every((input) => input.datatype === datatype)).toBe(true);
  });
});

describe('sampled values', () => {
  const rows = wave(2, 14, 1);
  const background = wave(5, 14, 0);

  test('beyond 12 features come close to the exact ones and add up', async () => {
    const model = fakeModel(curved);
    const sampled = await explain({ model, rows, background });
    const exact = await explain({ model, rows, background, parameters: { samples: 2 ** 14 } });
    expect(sampled.parameters).toMatchObject({ exact: false, evaluations: 2 * (1 + 5 * (1 + 2 * 14 + 2048)) });
    expect(exact.parameters).toMatchObject({ exact: true });
    const wanted = valuesOf(exact, 'shap_values');
    valuesOf(sampled, 'shap_values').forEach((got, i) => {
      expect(Math.abs(got - wanted[i]!)).toBeLessThan(0.05);
    });
    expect(additivityError(sampled)).toBeLessThan(1e-9);
  });

  test('are the same for the same seed and differ for another', async () => {
    const run = async (seed: number): Promise<number[]> =>
      valuesOf(await explain({ model: fakeModel(curved), rows, background, parameters: { seed, samples: 200 } }), 'shap_values');
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  test('of a linear model are exact', async () => {
    const model = fakeModel((row) => [row.reduce((sum, x, i) => sum + x * (i - 20), 0)]);
    const [wide, mean] = [wave(1, 60, 1), wave(1, 60, 0)];
    const got = valuesOf(await explain({ model, rows: wide, background: mean }), 'shap_values');
    got.forEach((phi, i) => {
      expect(phi).toBeCloseTo((wide[0]![i]! - mean[0]![i]!) * (i - 20), 8);
    });
  });
});

describe('calls of the model', () => {
  test('never have more rows than allowed, whatever the background', async () => {
    const model = fakeModel(curved);
    await explain({ model, rows: wave(1, 5, 1), background: wave(7, 5, 0), settings: { maxRows: 4 } });
    expect(Math.max(...model.calls.map(([input]) => input!.shape[0]!))).toBe(4);
  });

  test('have exactly the rows of a model of fixed size', async () => {
    const signature = {
      inputs: [{ name: 'x', datatype: 'FP64' as const, shape: [2, 5] }],
      outputs: [{ name: 'y', datatype: 'FP64' as const, shape: [2, 2] }],
    };
    const model = fakeModel(curved, { signature });
    const [rows, background] = [wave(2, 5, 1), wave(3, 5, 0)];
    const fixed = await explain({ model, rows, background });
    expect(new Set(model.calls.map(([input]) => input!.shape[0]))).toEqual(new Set([2]));
    const free = await explain({ model: fakeModel(curved), rows, background });
    expect(valuesOf(fixed, 'shap_values')).toEqual(valuesOf(free, 'shap_values'));
  });

  test('carry the other inputs, row by row where they have rows', async () => {
    const model = fakeModel((row) => [row[0]! + row[1]!], {
      signature: {
        inputs: [
          { name: 'x', datatype: 'FP64', shape: [-1, 2] },
          { name: 'text', datatype: 'BYTES', shape: [-1, 1] },
          { name: 'mode', datatype: 'BYTES', shape: [2] },
        ],
        outputs: [{ name: 'y', datatype: 'FP64', shape: [-1, 1] }],
      },
    });
    const explainer = createKernelShap(SETTINGS, backgroundOf([[0, 0]]), DEPS);
    const text = { name: 'text', datatype: 'BYTES' as const, shape: [2, 1], data: bytesData(['first', 'second row']) };
    const mode = { name: 'mode', datatype: 'BYTES' as const, shape: [2], data: bytesData(['a', 'b']) };
    const rows = rowsOf([
      [1, 2],
      [3, 4],
    ]);
    await explainer(requestOf([text, rows, mode]), model, model.predict, contextOf());
    const texts = model.calls.map((inputs) => tensorValues(inputs[0]!));
    const sizes = model.calls.map((inputs) => inputs[1]!.shape[0]!);
    expect(new Set(texts.slice(0, texts.length / 2).flat())).toEqual(new Set(['first']));
    expect(new Set(texts.slice(texts.length / 2).flat())).toEqual(new Set(['second row']));
    expect(texts.map(({ length }) => length)).toEqual(sizes);
    expect(model.calls.every((inputs) => inputs[2] === mode)).toBe(true);
  });

  test('stop when the client leaves', async () => {
    const stop = new StopSource();
    const model = fakeModel(curved);
    const gone = new ServingError('cancelled', 'gone');
    const explainer = createKernelShap({ ...SETTINGS, maxRows: 1 }, backgroundOf(wave(3, 6, 0)), DEPS);
    const predict: FakeModel['predict'] = (inputs, outputs) => {
      if (model.calls.length === 9) stop.abort(gone);
      return model.predict(inputs, outputs);
    };
    await expect(explainer(requestOf([rowsOf(wave(1, 6, 1))]), model, predict, contextOf({ signal: stop }))).rejects.toBe(gone);
    expect(model.calls.length).toBe(10);
  });

  test('stop at the deadline', async () => {
    const model = fakeModel(curved);
    const explainer = createKernelShap(SETTINGS, backgroundOf(wave(3, 6, 0)), DEPS);
    const asked = explainer(requestOf([rowsOf(wave(1, 6, 1))]), model, model.predict, contextOf({ deadline: performance.now() - 1 }));
    await expect(asked).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    expect(model.calls.length).toBe(0);
  });
});

describe('refused', () => {
  const wide = wave(1, 30, 1);
  test.each<[string, Partial<Explaining>, RegExp]>([
    ['a background of another width', { background: [[1, 2]] }, /background\.csv: expected 4 values a row.*got 2/],
    ['too many features', { rows: wide, background: wave(1, 30, 0), settings: { maxFeatures: 29 } }, /at most 29 features.*got 30/],
    ['too few samples', { rows: wide, background: wave(1, 30, 0), parameters: { samples: 59 } }, /30 features with 59 samples: expected at least 60/],
    ['samples beyond the limit', { parameters: { samples: 65_537 } }, /parameter "samples": expected a whole number from 2 to 65536, got 65537/],
    ['a seed that is no number', { parameters: { seed: 'x' } }, /parameter "seed".*got "x"/],
    ['an unknown output', { parameters: { output: 'z' } }, /output "z": expected "y"/],
    ['an unknown input', { parameters: { input: 'z' } }, /expected input "z", got "x"/],
    ['answers that are not finite', { model: fakeModel(() => [NaN]) }, /output "y": expected finite numbers, the model gave NaN/],
  ])('%s', async (_, changes, message) => {
    const asked = explain({ model: fakeModel(curved), rows: wave(1, 4, 1), background: wave(2, 4, 0), ...changes });
    await expect(asked).rejects.toMatchObject({ reason: 'invalid_request', message: expect.stringMatching(message) as string });
  });

  test.each([
    ['BYTES only', [{ name: 'x', datatype: 'BYTES', shape: [1], data: bytesData(['a']) }], /expected an input of numbers/],
    [
      'two numeric inputs',
      [rowsOf([[1]]), { ...rowsOf([[1]]), name: 'z' }],
      /expected one numeric input, got "x", "z"; name one with --explainer_input/,
    ],
    ['no rows', [tensorOf('x', 'FP64', [0, 4], [])], /expected at least one row/],
  ] as const)('%s', async (_, inputs, message) => {
    const model = fakeModel(curved);
    const explainer = createKernelShap(SETTINGS, backgroundOf([[1]]), DEPS);
    const asked = explainer(requestOf(inputs), model, model.predict, contextOf());
    await expect(asked).rejects.toMatchObject({ reason: 'invalid_request', message: expect.stringMatching(message) as string });
  });

  test('outputs without a row for each input row', async () => {
    const model = fakeModel(curved);
    const explainer = createKernelShap(SETTINGS, backgroundOf(wave(2, 4, 0)), DEPS);
    const asked = explainer(requestOf([rowsOf(wave(1, 4, 1))]), model, () => Promise.resolve([tensorOf('y', 'FP64', [1], [1])]), contextOf());
    await expect(asked).rejects.toMatchObject({
      reason: 'invalid_request',
      message: expect.stringMatching(/expected 3 rows .*got shape \[1\]/) as string,
    });
  });
});

function permutations(values: readonly number[]): number[][] {
  if (values.length <= 1) return [[...values]];
  return values.flatMap((first) => permutations(values.filter((other) => other !== first)).map((rest) => [first, ...rest]));
}
