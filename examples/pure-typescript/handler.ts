/** A complete predictor without a model file: names the colour nearest to each RGB triple. */
import { defineHandler, tensor } from 'kserve-node';

const COLOURS: readonly (readonly [name: string, red: number, green: number, blue: number])[] = [
  ['black', 0, 0, 0],
  ['white', 255, 255, 255],
  ['grey', 128, 128, 128],
  ['red', 220, 20, 30],
  ['orange', 255, 140, 0],
  ['yellow', 250, 220, 30],
  ['green', 30, 150, 50],
  ['blue', 30, 70, 200],
  ['purple', 130, 40, 150],
  ['brown', 120, 70, 30],
];

export default defineHandler({
  inputs: [{ name: 'rgb', datatype: 'UINT8', shape: [-1, 3] }],
  outputs: [
    { name: 'colour', datatype: 'BYTES', shape: [-1] },
    { name: 'distance', datatype: 'FP32', shape: [-1] },
  ],
  predict(request, _next, ctx) {
    const rgb = request.input('rgb', 'UINT8');
    const rows = rgb.length / 3;
    const nearest = Array.from({ length: rows }, (_, row) => nearestColour(rgb.subarray(row * 3, row * 3 + 3)));
    ctx.counter('colours_named_total', 'Colours named').increment({}, rows);
    return [
      tensor(
        'colour',
        'BYTES',
        [rows],
        nearest.map(({ name }) => name),
      ),
      tensor(
        'distance',
        'FP32',
        [rows],
        nearest.map(({ distance }) => distance),
      ),
    ];
  },
});

function nearestColour(rgb: Uint8Array): { name: string; distance: number } {
  let nearest = { name: '', distance: Infinity };
  for (const [name, ...colour] of COLOURS) {
    const distance = Math.hypot(...colour.map((value, channel) => value - (rgb[channel] ?? 0)));
    if (distance < nearest.distance) nearest = { name, distance };
  }
  return nearest;
}
