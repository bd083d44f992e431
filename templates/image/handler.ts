/** A PNG or JPEG of one handwritten digit in, the digit and how sure the model is out. */
import { defineHandler, reply, tensor } from 'kserve-node';
import { inkOf, POINTS } from './image.ts';
import type { Model } from './model.d.ts';

export default defineHandler<Model>({
  // Bodies of these types come as bytes; tensors still work as they do without a handler.
  accepts: ['image/png', 'image/jpeg'],

  async preprocess(request) {
    if (request.body === undefined) return undefined;
    return [tensor('input', 'FP32', [1, POINTS], await inkOf(request.body.bytes))];
  },

  postprocess(response, ctx) {
    if (ctx.headers['content-type']?.startsWith('image/') !== true) return response;
    const digit = Number(response.output('label')[0]);
    return reply({ digit, probability: response.output('probabilities')[digit] });
  },
});
