import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Jimp } from 'jimp';
import { tensor } from 'kserve-node';
import { testHandler, type TestedHandler } from 'kserve-node/testing';
import handler from './handler.ts';
import type { Model } from './model.d.ts';

/** A six, 8 x 8 points from 0 (white) to 16 (black). */
const SIX = [
  0, 0, 1, 9, 14, 11, 1, 0, 0, 0, 10, 15, 9, 13, 5, 0, 0, 3, 16, 7, 0, 0, 0, 0, 0, 5, 16, 16, 16, 10, 0, 0, 0, 7, 16, 11, 10, 16, 5, 0, 0, 2, 16, 5,
  0, 12, 8, 0, 0, 0, 10, 15, 13, 16, 5, 0, 0, 0, 0, 9, 12, 7, 0, 0,
];

function png(points: readonly number[], zoom: number): Promise<Uint8Array> {
  const image = new Jimp({ width: 8, height: 8, color: 0xffffffff });
  points.forEach((ink, point) => {
    const light = 255 - Math.round((ink / 16) * 255);
    image.bitmap.data.set([light, light, light, 255], 4 * point);
  });
  return image.resize({ w: 8 * zoom, h: 8 * zoom }).getBuffer('image/png');
}

let tested: TestedHandler<Model>;
before(async () => {
  tested = await testHandler(handler, { modelDir: 'model' });
});
after(() => tested.close());

test('reads a picture of any size', async () => {
  for (const zoom of [1, 16]) {
    const response = await tested.infer({ body: await png(SIX, zoom), contentType: 'image/png' });
    const { digit } = response.json() as { readonly digit: number };
    assert.equal(digit, 6);
  }
});

test('takes the tensors of the model too', async () => {
  const ink = Float32Array.from(SIX, (value) => value / 16);
  const response = await tested.infer([tensor('input', 'FP32', [1, 64], ink)]);
  assert.deepEqual([...response.output('label')], [6n]);
});

test('refuses what is no picture', async () => {
  await assert.rejects(tested.infer({ body: 'no picture', contentType: 'image/png' }), {
    reason: 'invalid_request',
    message: /Cannot read the picture/,
  });
});
