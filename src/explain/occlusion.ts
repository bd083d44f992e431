import { invalidRequest } from '../core/errors.ts';
import { formatShape } from '../core/tensor.ts';
import type { Explainer } from '../dataplane/index.ts';
import { fromNumbers, wordsOf, type Words } from './numbers.ts';
import type { ExplainerSettings } from './options.ts';
import { Question, type QuestionDependencies } from './question.ts';
import { readInteger, readNumber } from './request-parameters.ts';

type OcclusionSettings = Pick<ExplainerSettings, 'input' | 'output' | 'maxRows' | 'patch' | 'stride' | 'baseline'>;

/** `auto`: the image's shorter edge has so many squares side by side. */
const PATCHES_PER_EDGE = 5;

/**
 * Occlusion (Zeiler and Fergus 2014): how far the explained class falls when a square of the image is covered. Images are [H, W], [C, H, W], [H, W, C] with
 * 1, 3 or 4 channels (fewer than the height), or square ones in a flat row. Answers:
 *
 *     heat_map    FP64  [rows, H, W]  mean fall over the squares that covered the pixel; negative where covering helped
 *     class       INT64 [rows]        index of the explained value: the request's parameter `class`, else the largest of the uncovered image
 *     prediction  FP64  [rows]        its value for the uncovered image
 */
export function createOcclusion(settings: OcclusionSettings, deps: QuestionDependencies): Explainer['explain'] {
  return async (request, model, predict, ctx) => {
    const { parameters } = request;
    const question = new Question(settings, { request, model, predict, ctx }, deps);
    const image = imageOf(question);
    const { height, width } = image;
    const squares = squaresOf(image, {
      patch: readInteger(parameters, 'patch', 1, 4096) ?? settings.patch,
      stride: readInteger(parameters, 'stride', 1, 4096) ?? settings.stride,
    });
    const wanted = readInteger(parameters, 'class', 0, Number.MAX_SAFE_INTEGER);
    const baseline = readNumber(parameters, 'baseline') ?? settings.baseline;
    const cover = wordsOf(fromNumbers(question.input.datatype, [baseline], 'the baseline'));
    const heat = new Float64Array(question.rows * height * width);
    const classes = new BigInt64Array(question.rows);
    const predictions = new Float64Array(question.rows);
    question.plan(question.rows * (1 + squares.corners.length));
    for (let row = 0; row < question.rows; row++) {
      const { index, value } = await explainedClass(question, row, wanted);
      classes[row] = BigInt(index);
      predictions[row] = value;
      const map = heat.subarray(row * height * width, (row + 1) * height * width);
      await fillHeatMap(question, { row, index, value, image, squares, cover, map });
    }
    return question.answer(
      [
        { name: 'heat_map', datatype: 'FP64', shape: [question.rows, height, width], data: heat },
        { name: 'class', datatype: 'INT64', shape: [question.rows], data: classes },
        { name: 'prediction', datatype: 'FP64', shape: [question.rows], data: predictions },
      ],
      { explainer: 'occlusion', patch: squares.patch, stride: squares.stride },
    );
  };
}

/** Element of a pixel: ((before * height + y) * width + x) * after + channel. */
interface Image {
  readonly height: number;
  readonly width: number;
  /** Planes before the pixels (channels first). */
  readonly before: number;
  /** Values of one pixel side by side (channels last). */
  readonly after: number;
}

const CHANNELS: ReadonlySet<number> = new Set([1, 3, 4]);

function imageOf({ input, rowShape, features }: Question): Image {
  const edge = Math.sqrt(features);
  if (rowShape.length <= 1 && Number.isInteger(edge)) return { height: edge, width: edge, before: 1, after: 1 };
  const [height = 0, width = 0, channels = 0] = rowShape;
  if (rowShape.length === 3 && CHANNELS.has(channels) && channels < height) return { height, width, before: 1, after: channels };
  const [lastHeight, lastWidth] = rowShape.slice(-2);
  if (rowShape.length < 2 || lastHeight === undefined || lastWidth === undefined) {
    const expected = 'images as [H,W], [C,H,W] or [H,W,C], or square ones as a flat row';
    throw invalidRequest(`Cannot explain input "${input.name}" by occlusion: expected ${expected}, got ${formatShape(rowShape)}`);
  }
  return { height: lastHeight, width: lastWidth, before: features / (lastHeight * lastWidth), after: 1 };
}

interface Squares {
  readonly patch: number;
  readonly stride: number;
  /** Top left pixels. */
  readonly corners: readonly { readonly x: number; readonly y: number }[];
}

function squaresOf({ height, width }: Image, options: { readonly patch: number | 'auto'; readonly stride: number | 'auto' }): Squares {
  const edge = Math.min(height, width);
  const patch = options.patch === 'auto' ? Math.max(1, Math.round(edge / PATCHES_PER_EDGE)) : options.patch;
  if (patch > edge) throw invalidRequest(`Cannot cover a square of ${patch} pixels: expected at most ${edge} for an image of ${height} x ${width}`);
  const stride = options.stride === 'auto' ? Math.max(1, Math.floor(patch / 2)) : options.stride;
  if (stride > patch) throw invalidRequest(`Cannot go ${stride} pixels from square to square: expected at most the edge of the square, ${patch}`);
  const columns = startsOf(width, patch, stride);
  return { patch, stride, corners: startsOf(height, patch, stride).flatMap((y) => columns.map((x) => ({ x, y }))) };
}

/** The last square ends at the edge. */
function startsOf(size: number, patch: number, stride: number): number[] {
  const starts: number[] = [];
  for (let start = 0; start < size - patch; start += stride) starts.push(start);
  starts.push(size - patch);
  return starts;
}

async function explainedClass(
  question: Question,
  row: number,
  wanted: number | undefined,
): Promise<{ readonly index: number; readonly value: number }> {
  let answer = new Float64Array(0);
  const { words, features } = question;
  const width = features * words.perElement;
  await question.ask(row, {
    count: 1,
    fill: (_index, into, at) => {
      into.set(words.words.subarray(row * width, (row + 1) * width), at);
    },
    take: (_index, values, at) => {
      answer = values.slice(at, at + question.outputs);
    },
  });
  if (wanted !== undefined && wanted >= answer.length) {
    throw invalidRequest(`Cannot explain class ${wanted}: expected 0 to ${answer.length - 1}, as many as the explained output has`);
  }
  let index = wanted ?? 0;
  if (wanted === undefined) {
    for (let k = 1; k < answer.length; k++) if ((answer[k] ?? 0) > (answer[index] ?? 0)) index = k;
  }
  return { index, value: answer[index] ?? 0 };
}

interface HeatMapTask {
  readonly row: number;
  readonly index: number;
  readonly value: number;
  readonly image: Image;
  readonly squares: Squares;
  /** The baseline, one element. */
  readonly cover: Words;
  /** [height, width], filled here. */
  readonly map: Float64Array;
}

async function fillHeatMap(question: Question, { row, index, value, image, squares, cover, map }: HeatMapTask): Promise<void> {
  const { words, features } = question;
  const rowWords = features * words.perElement;
  const covered = new Uint32Array(map.length);
  await question.ask(row, {
    count: squares.corners.length,
    fill: (square, into, at) => {
      into.set(words.words.subarray(row * rowWords, (row + 1) * rowWords), at);
      for (const pixel of pixelsOf(squares, square, image)) coverPixel(pixel, image, cover, into, at);
    },
    take: (square, values, at) => {
      const fall = value - (values[at + index] ?? 0);
      for (const pixel of pixelsOf(squares, square, image)) {
        map[pixel] = (map[pixel] ?? 0) + fall;
        covered[pixel] = (covered[pixel] ?? 0) + 1;
      }
    },
  });
  for (let pixel = 0; pixel < map.length; pixel++) map[pixel] = (map[pixel] ?? 0) / Math.max(1, covered[pixel] ?? 1);
}

function* pixelsOf({ corners, patch }: Squares, square: number, { width }: Image): Generator<number, void, void> {
  const { x, y } = corners[square] ?? { x: 0, y: 0 };
  for (let row = y; row < y + patch; row++) {
    for (let column = x; column < x + patch; column++) yield row * width + column;
  }
}

function coverPixel(pixel: number, { height, width, before, after }: Image, cover: Words, into: Words['words'], at: number): void {
  for (let plane = 0; plane < before; plane++) {
    for (let channel = 0; channel < after; channel++) {
      const element = (plane * height * width + pixel) * after + channel;
      for (let word = 0; word < cover.perElement; word++) into[at + element * cover.perElement + word] = cover.words[word] ?? 0;
    }
  }
}
