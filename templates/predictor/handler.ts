/** Grey values of a scanner in, the digit and how sure the model is out. */
import { defineHandler, InvalidRequest, tensor } from 'kserve-node';
import type { Model } from './model.d.ts';

/** What clients send and get: not what the model takes and gives. */
export interface Clients {
  readonly inputs: { readonly scan: { readonly datatype: 'UINT8'; readonly shape: readonly [number, 64] } };
  readonly outputs: {
    readonly digit: { readonly datatype: 'INT64'; readonly shape: readonly [number] };
    readonly probability: { readonly datatype: 'FP32'; readonly shape: readonly [number] };
  };
}

const POINTS = 64;
const CLASSES = 10;
const DARKEST = 16;

export default defineHandler<Model, Clients>({
  inputs: [{ name: 'scan', datatype: 'UINT8', shape: [-1, POINTS] }],
  outputs: [
    { name: 'digit', datatype: 'INT64', shape: [-1] },
    { name: 'probability', datatype: 'FP32', shape: [-1] },
  ],

  preprocess(request) {
    const scan = request.input('scan');
    if (scan.some((value) => value > DARKEST)) throw new InvalidRequest(`Cannot use input "scan": expected values from 0 to ${DARKEST}`);
    return [
      tensor(
        'input',
        'FP32',
        [scan.length / POINTS, POINTS],
        Float32Array.from(scan, (value) => value / DARKEST),
      ),
    ];
  },

  postprocess(response, ctx) {
    const digits = response.output('label');
    const probabilities = response.output('probabilities');
    ctx.counter('digits_read_total', 'Digits read').increment({}, digits.length);
    const probability = Array.from(digits, (digit, row) => probabilities[row * CLASSES + Number(digit)] ?? Number.NaN);
    return [tensor('digit', 'INT64', [digits.length], digits), tensor('probability', 'FP32', [digits.length], probability)];
  },
});
