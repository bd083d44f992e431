/** Grey values of a scanner in, words out. The model runs in a predictor elsewhere, which `next`, and all that has no method here, asks. */
import { defineHandler, InvalidRequest, tensor } from 'kserve-node';

const POINTS = 64;
const DARKEST = 16;

export default defineHandler({
  inputs: [{ name: 'scan', datatype: 'UINT8', shape: [-1, POINTS] }],
  outputs: [{ name: 'says', datatype: 'BYTES', shape: [-1] }],

  preprocess(request) {
    const scan = request.input('scan', 'UINT8');
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

  postprocess(response) {
    const says = Array.from(response.output('label', 'INT64'), (digit) => `It is a ${digit}`);
    return [tensor('says', 'BYTES', [says.length], says)];
  },
});
