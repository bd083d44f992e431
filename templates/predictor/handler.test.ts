import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { tensor } from 'kserve-node';
import { testHandler, type TestedHandler } from 'kserve-node/testing';
import handler, { type Clients } from './handler.ts';

/** A six, 8 x 8 points from 0 (white) to 16 (black). */
const SIX = [
  0, 0, 1, 9, 14, 11, 1, 0, 0, 0, 10, 15, 9, 13, 5, 0, 0, 3, 16, 7, 0, 0, 0, 0, 0, 5, 16, 16, 16, 10, 0, 0, 0, 7, 16, 11, 10, 16, 5, 0, 0, 2, 16, 5,
  0, 12, 8, 0, 0, 0, 10, 15, 13, 16, 5, 0, 0, 0, 0, 9, 12, 7, 0, 0,
];

let tested: TestedHandler<Clients>;
before(async () => {
  tested = await testHandler(handler, { modelDir: 'model' });
});
after(() => tested.close());

test('reads a digit', async () => {
  const response = await tested.infer([tensor('scan', 'UINT8', [1, 64], SIX)]);
  assert.deepEqual([...response.output('digit')], [6n]);
  assert.ok((response.output('probability')[0] ?? 0) > 0.5);
});

test('takes JSON as clients of v1 send it', async () => {
  const response = await tested.infer({ json: { instances: [SIX, SIX] } });
  assert.deepEqual([...response.output('digit')], [6n, 6n]);
});

test('refuses values out of range', async () => {
  const request = tested.infer([tensor('scan', 'UINT8', [1, 64], new Array<number>(64).fill(17))]);
  await assert.rejects(request, { reason: 'invalid_request', message: /expected values from 0 to 16/ });
});
