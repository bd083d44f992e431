import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { tensor } from 'kserve-node';
import { testHandler, type TestedHandler } from 'kserve-node/testing';
import handler from './handler.ts';

let tested: TestedHandler;
before(async () => {
  tested = await testHandler(handler, {
    // Stands in for the predictor: the digit is the sum of the points.
    next: (request) => {
      const points = request.input('input', 'FP32');
      return [tensor('label', 'INT64', [1], [BigInt(points.reduce((sum, value) => sum + value, 0))])];
    },
  });
});
after(() => tested.close());

test('asks the predictor on the scale of the model, and answers in words', async () => {
  const scan = new Array<number>(64).fill(0).fill(16, 0, 7);
  const response = await tested.infer([tensor('scan', 'UINT8', [1, 64], scan)]);
  assert.deepEqual(response.strings('says'), ['It is a 7']);
});

test('refuses values out of range', async () => {
  const request = tested.infer([tensor('scan', 'UINT8', [1, 64], new Array<number>(64).fill(17))]);
  await assert.rejects(request, { reason: 'invalid_request', message: /expected values from 0 to 16/ });
});
