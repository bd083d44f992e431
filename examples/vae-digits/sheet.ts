import { Jimp, ResizeStrategy } from 'jimp';

const SIDE = 8;
const GAP = 2;
const ZOOM = 6;

/** Images of 8 x 8 values from 0 (white) to 1 (black), side by side on one sheet that is about square. */
export async function drawSheet(images: Float32Array): Promise<Uint8Array> {
  const count = images.length / (SIDE * SIDE);
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const sheet = new Jimp({ width: columns * (SIDE + GAP) + GAP, height: rows * (SIDE + GAP) + GAP, color: 0xffffffff });
  for (let image = 0; image < count; image++) {
    const left = GAP + (image % columns) * (SIDE + GAP);
    const top = GAP + Math.floor(image / columns) * (SIDE + GAP);
    for (let point = 0; point < SIDE * SIDE; point++) {
      const light = Math.round(255 * (1 - Math.min(1, Math.max(0, images[image * SIDE * SIDE + point] ?? 0))));
      const at = 4 * ((top + Math.floor(point / SIDE)) * sheet.width + left + (point % SIDE));
      sheet.bitmap.data.set([light, light, light, 255], at);
    }
  }
  return sheet.scale({ f: ZOOM, mode: ResizeStrategy.BICUBIC }).getBuffer('image/png');
}
