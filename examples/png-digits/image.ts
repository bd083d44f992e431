import { InvalidRequest } from 'kserve-node';
import { Jimp, ResizeStrategy } from 'jimp';

/** Rows and columns of the model's images. */
export const SIDE = 8;
export const PIXELS = SIDE * SIDE;

const MAX_SIDE = 4096;

/** Ink from 0 to 1 on 8 x 8 points: the digit cut out and as large as fits, whatever the picture's size, dark on light or light on dark. */
export async function inkOf(bytes: Uint8Array): Promise<Float32Array> {
  const picture = await decode(bytes);
  const { width, height } = picture;
  const image = new Jimp({ width, height, color: 0xffffffff });
  image.composite(picture);
  image.greyscale();
  const lightAt = (x: number, y: number): number => image.bitmap.data[4 * (y * width + x)] ?? 0;
  const corners = lightAt(0, 0) + lightAt(width - 1, 0) + lightAt(0, height - 1) + lightAt(width - 1, height - 1);
  if (corners > 2 * 255) image.invert();

  const box = { left: width, top: height, right: -1, bottom: -1 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (lightAt(x, y) < 128) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = y;
    }
  }
  if (box.right < 0) throw new InvalidRequest('Cannot read the image: expected a digit with a clear contrast, got an empty picture');
  image.background = 0x000000ff;
  image.crop({ x: box.left, y: box.top, w: box.right - box.left + 1, h: box.bottom - box.top + 1 }).contain({ w: SIDE, h: SIDE });
  return Float32Array.from({ length: PIXELS }, (_, point) => (image.bitmap.data[4 * point] ?? 0) / 255);
}

/** The digit in grey; over it red where the ink speaks for it, blue where it speaks against it. */
export async function drawHeat(ink: Float32Array, heat: Float32Array, zoom = 32): Promise<Uint8Array> {
  const hottest = heat.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const image = new Jimp({ width: SIDE, height: SIDE });
  heat.forEach((value, point) => {
    const warmth = Math.abs(value) / hottest;
    const grey = 255 - 170 * (ink[point] ?? 0);
    const blend = (colour: number): number => Math.round(grey + warmth * (colour - grey));
    image.bitmap.data.set(value >= 0 ? [blend(230), blend(30), blend(30), 255] : [blend(30), blend(80), blend(230), 255], 4 * point);
  });
  return image.scale({ f: zoom, mode: ResizeStrategy.NEAREST_NEIGHBOR }).getBuffer('image/png');
}

async function decode(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof Jimp.read>>> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // A small PNG may hold a gigantic picture, whose size stands in the first bytes. The JPEG decoder has a limit of its own.
  if (file.toString('latin1', 1, 4) === 'PNG' && file.length >= 24) {
    const [width, height] = [file.readUInt32BE(16), file.readUInt32BE(20)];
    if (Math.max(width, height) > MAX_SIDE) {
      throw new InvalidRequest(`Cannot read the image: expected at most ${MAX_SIDE} x ${MAX_SIDE} points, got ${width} x ${height}`);
    }
  }
  try {
    return await Jimp.read(file);
  } catch (error) {
    throw new InvalidRequest(`Cannot read the image: ${error instanceof Error ? error.message : String(error)}`);
  }
}
