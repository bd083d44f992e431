/** Says how much each point of an image adds to the model's probability of the digit it sees. The model runs in a predictor elsewhere. */
import { defineHandler, tensor } from 'kserve-node';

const POINTS = 64;
const CLASSES = 10;

export default defineHandler({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, POINTS] }],

  /** The drop of the probability when one point is blank. One call of the predictor for each row: the row as it is, then with each point blank. */
  async explain(request, predict) {
    const rows = request.input('input', 'FP32');
    const count = rows.length / POINTS;
    const drops = new Float32Array(rows.length);
    for (let row = 0; row < count; row++) {
      const variants = new Float32Array((POINTS + 1) * POINTS);
      for (let blank = 0; blank <= POINTS; blank++) {
        variants.set(rows.subarray(row * POINTS, (row + 1) * POINTS), blank * POINTS);
        if (blank > 0) variants[blank * POINTS + blank - 1] = 0;
      }
      const response = await predict([tensor('input', 'FP32', [POINTS + 1, POINTS], variants)]);
      const probabilities = response.output('probabilities', 'FP32');
      const digit = Number(response.output('label', 'INT64')[0]);
      for (let blank = 0; blank < POINTS; blank++) {
        drops[row * POINTS + blank] = (probabilities[digit] ?? 0) - (probabilities[(blank + 1) * CLASSES + digit] ?? 0);
      }
    }
    return [tensor('drop', 'FP32', [count, POINTS], drops)];
  },
});
