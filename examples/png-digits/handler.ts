/** A PNG or JPEG of one handwritten digit in, the digit out; the explanation is a picture of the points that decided. */
import { defineHandler, reply, tensor } from 'kserve-node';
import { drawHeat, inkOf, PIXELS } from './image.ts';

export default defineHandler({
  inputs: [{ name: 'image', datatype: 'BYTES', shape: [-1] }],
  outputs: [
    { name: 'digit', datatype: 'INT64', shape: [-1] },
    { name: 'probability', datatype: 'FP32', shape: [-1] },
  ],
  accepts: ['image/png', 'image/jpeg'],

  async preprocess(request) {
    const images = request.body === undefined ? request.bytes('image') : [request.body.bytes];
    const input = new Float32Array(images.length * PIXELS);
    for (const [row, image] of images.entries()) input.set(await inkOf(image), row * PIXELS);
    return [tensor('input', 'FP32', [images.length, PIXELS], input)];
  },

  postprocess(response) {
    const digits = response.output('label', 'INT64');
    const probabilities = response.output('probabilities', 'FP32');
    const best = Array.from(digits, (digit, row) => probabilities[row * 10 + Number(digit)] ?? NaN);
    return [tensor('digit', 'INT64', [digits.length], digits), tensor('probability', 'FP32', [digits.length], best)];
  },

  /** What the probability of the digit loses when one point is blank, for each of the 64. */
  async explain(request, _predict, _ctx, next) {
    const image = request.body?.bytes ?? request.bytes('image')[0] ?? new Uint8Array();
    const ink = await inkOf(image);
    const variants = new Float32Array((PIXELS + 1) * PIXELS);
    for (let blank = 0; blank <= PIXELS; blank++) {
      variants.set(ink, blank * PIXELS);
      if (blank < PIXELS) variants[blank * PIXELS + blank] = 0;
    }
    const response = await next([tensor('input', 'FP32', [PIXELS + 1, PIXELS], variants)]);
    const probabilities = response.output('probabilities', 'FP32');
    const digit = Number(response.output('label', 'INT64')[PIXELS]);
    const whole = probabilities[PIXELS * 10 + digit] ?? 0;
    const heat = Float32Array.from({ length: PIXELS }, (_, point) => whole - (probabilities[point * 10 + digit] ?? 0));
    return reply(await drawHeat(ink, heat), 'image/png');
  },
});
