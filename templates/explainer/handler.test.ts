import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { tensor } from 'kserve-node';
import { testHandler, type TestedHandler } from 'kserve-node/testing';
import handler from './handler.ts';

let tested: TestedHandler;
before(async () => {
  tested = await testHandler(handler, {
    // Stands in for the predictor: it always sees a 3, and is as sure of it as the fifth point is dark.
    next: (request) => {
      const images = request.input('input', 'FP32');
      const rows = images.length / 64;
      const probabilities = new Float32Array(rows * 10);
      for (let row = 0; row < rows; row++) probabilities[row * 10 + 3] = images[row * 64 + 4] ?? 0;
      return [tensor('label', 'INT64', [rows], new BigInt64Array(rows).fill(3n)), tensor('probabilities', 'FP32', [rows, 10], probabilities)];
    },
  });
});
after(() => tested.close());

test('finds the only point that counts', async () => {
  const response = await tested.explain([tensor('input', 'FP32', [1, 64], new Array<number>(64).fill(0.5))]);
  const expected = new Float32Array(64);
  expected[4] = 0.5;
  assert.deepEqual(response.output('drop', 'FP32'), expected);
});

test('takes JSON as KServe sends it, several rows at once', async () => {
  const response = await tested.explain({ json: { instances: [new Array<number>(64).fill(0), new Array<number>(64).fill(1)] } });
  assert.deepEqual(response.tensor('drop').shape, [2, 64]);
  assert.equal(response.output('drop', 'FP32')[64 + 4], 1);
});
