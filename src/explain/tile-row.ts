import { allocateData, isBytesData, type BytesData, type FixedSizeData, type Tensor } from '../core/tensor.ts';
import { wordsOf, type NumericTensor } from './numbers.ts';

/** `count` copies of one row of a tensor, as a tensor of its own. */
export function tileRow(tensor: Tensor, row: number, count: number): Tensor {
  const [rows = 1, ...rowShape] = tensor.shape;
  const { name, shape, data, datatype, parameters } = tensor;
  const tiled =
    datatype === 'BYTES' || isBytesData(data)
      ? tileBytes(data as BytesData, row, rows, count)
      : tileNumbers({ name, shape, datatype, data }, row, rows, count);
  return { name, datatype, shape: [count, ...rowShape], data: tiled, ...(parameters === undefined ? {} : { parameters }) };
}

function tileNumbers({ datatype, data }: NumericTensor, row: number, rows: number, count: number): FixedSizeData {
  const width = data.length / rows;
  const tiled: FixedSizeData = allocateData(datatype, width * count);
  const from = wordsOf(data);
  const to = wordsOf(tiled);
  const words = width * from.perElement;
  const one = from.words.subarray(row * words, (row + 1) * words);
  for (let i = 0; i < count; i++) to.words.set(one, i * words);
  return tiled;
}

function tileBytes({ bytes, offsets }: BytesData, row: number, rows: number, count: number): BytesData {
  const width = (offsets.length - 1) / rows;
  const start = offsets[row * width] ?? 0;
  const one = bytes.subarray(start, offsets[(row + 1) * width]);
  const tiled = new Uint8Array(one.length * count);
  const tiledOffsets = new Uint32Array(width * count + 1);
  for (let i = 0; i < count; i++) {
    tiled.set(one, i * one.length);
    for (let element = 1; element <= width; element++) {
      tiledOffsets[i * width + element] = (offsets[row * width + element] ?? 0) - start + i * one.length;
    }
  }
  return { bytes: tiled, offsets: tiledOffsets };
}
