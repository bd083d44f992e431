/** A transformer: raw scanner values in, the model's scale out, and words back. The model runs in a predictor elsewhere. */
import { defineHandler, InvalidRequest, tensor } from 'kserve-node';

const DARKEST = 16;

export default defineHandler({
  inputs: [{ name: 'scan', datatype: 'UINT8', shape: [-1, 64] }],
  outputs: [{ name: 'says', datatype: 'BYTES', shape: [-1] }],

  preprocess(request) {
    const scan = request.input('scan', 'UINT8');
    if (scan.some((value) => value > DARKEST)) throw new InvalidRequest(`Cannot use input "scan": expected values from 0 to ${DARKEST}`);
    return [
      tensor(
        'input',
        'FP32',
        [scan.length / 64, 64],
        Float32Array.from(scan, (value) => value / DARKEST),
      ),
    ];
  },

  postprocess(response) {
    const says = Array.from(response.output('label', 'INT64'), (digit) => `It is a ${digit}`);
    return [tensor('says', 'BYTES', [says.length], says)];
  },
});
