import { Jimp } from 'jimp';
import { InvalidRequest } from 'kserve-node';

/** Rows and columns of the model's images. */
const SIDE = 8;
export const POINTS = SIDE * SIDE;

/** Larger pictures are refused. */
const MAX_SIDE = 4096;

/** Ink from 0 to 1 on 8 x 8 points, for dark strokes on light ground. */
export async function inkOf(bytes: Uint8Array): Promise<Float32Array> {
  const image = await decode(bytes);
  if (image.width > MAX_SIDE || image.height > MAX_SIDE) {
    throw new InvalidRequest(`Cannot use the picture: expected at most ${MAX_SIDE} x ${MAX_SIDE} points, got ${image.width} x ${image.height}`);
  }
  const { data } = image.resize({ w: SIDE, h: SIDE }).greyscale().bitmap;
  return Float32Array.from({ length: POINTS }, (_, point) => 1 - (data[4 * point] ?? 255) / 255);
}

async function decode(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof Jimp.read>>> {
  try {
    return await Jimp.read(Buffer.from(bytes));
  } catch (error) {
    throw new InvalidRequest(`Cannot read the picture: ${error instanceof Error ? error.message : String(error)}`);
  }
}
