/**
 * Sends the test images to a running server in one request and shows what it says about each.
 *
 *     npx tsx examples/digits/client.ts [url] [model]     (http://localhost:8080 digits; grpc://localhost:8081 works too)
 */
import { readFileSync } from 'node:fs';
import { connect, InferenceError, tensor } from 'kserve-node/client';

interface Image {
  /** The digit that it really shows. */
  readonly label: number;
  /** 8 rows of 8, from 0 (white) to 16 (black). */
  readonly pixels: readonly number[];
}

const SIDE = 8;
const DARKEST = 16;
const PIXELS = SIDE * SIDE;

async function main(url: string, model: string): Promise<void> {
  const images = JSON.parse(readFileSync(new URL('images.json', import.meta.url), 'utf8')) as readonly Image[];
  const input = new Float32Array(images.length * PIXELS);
  images.forEach((image, row) => {
    input.set(
      image.pixels.map((pixel) => pixel / DARKEST),
      row * PIXELS,
    );
  });

  const client = connect(url);
  try {
    const response = await client.infer(model, { inputs: [tensor('input', 'FP32', [images.length, PIXELS], input)] });
    const labels = response.output('label', 'INT64');
    const probabilities = response.output('probabilities', 'FP32');
    let right = 0;
    images.forEach((image, row) => {
      const predicted = Number(labels[row]);
      const certainty = probabilities[row * 10 + predicted] ?? NaN;
      if (predicted === image.label) right += 1;
      console.log(drawing(image));
      console.log(
        `predicted ${predicted} (${(100 * certainty).toFixed(1)} %), truth ${image.label}${predicted === image.label ? '' : '   <-- wrong'}\n`,
      );
    });
    console.log(`accuracy: ${right} of ${images.length} (${((100 * right) / images.length).toFixed(0)} %)`);
  } finally {
    client.close();
  }
}

/** Two characters a pixel, because characters are twice as high as wide. */
function drawing(image: Image): string {
  const shades = [' ', '░', '▒', '▓', '█'];
  const lines: string[] = [];
  for (let row = 0; row < SIDE; row++) {
    const line = image.pixels.slice(row * SIDE, (row + 1) * SIDE);
    lines.push(line.map((pixel) => (shades[Math.round((pixel / DARKEST) * (shades.length - 1))] ?? ' ').repeat(2)).join(''));
  }
  return lines.join('\n');
}

try {
  const [url = 'http://localhost:8080', model = 'digits'] = process.argv.slice(2);
  await main(url, model);
} catch (error) {
  if (!(error instanceof InferenceError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
