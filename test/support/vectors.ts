import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect } from 'vitest';
import { isDatatype, type Datatype } from '../../src/core/datatype.ts';
import {
  allocateData,
  createParameters,
  isBytesData,
  type BytesData,
  type FixedSizeData,
  type Tensor,
  type TensorData,
} from '../../src/core/tensor.ts';

/** Folder of golden models: one model a folder, its answers in vectors.json, computed by the framework that made it. */
export const MODELS_DIR = fileURLToPath(new URL('../fixtures/models/', import.meta.url));

/** |got - value| <= abs + rel * |value|; both 0 means equal. */
export interface Tolerance {
  readonly abs: number;
  readonly rel: number;
}

/**
 * An output as the engine must give it. Sequences are already flattened by the engine's rule: maps become FP32 [rows, keys] with the keys in
 * `parameters.keys` (a JSON array), tensors of equal shape are stacked on a new first axis.
 */
export interface ExpectedOutput extends Tensor {
  readonly tolerance: Tolerance;
}

export interface VectorCase {
  readonly name: string;
  readonly inputs: Tensor[];
  readonly outputs: ExpectedOutput[];
  readonly trueLabels?: number[];
}

/** Names of the folders that hold a model.onnx and its vectors. */
export function listOnnxModels(): string[] {
  return readdirSync(MODELS_DIR)
    .filter((name) => existsSync(join(MODELS_DIR, name, 'model.onnx')) && existsSync(join(MODELS_DIR, name, 'vectors.json')))
    .sort();
}

export function modelDir(model: string): string {
  return join(MODELS_DIR, model);
}

/** scikit-learn's own names and types, as its ONNX converter writes them. */
function asOnnxOutput(output: RawTensor): RawTensor {
  if (output.name === 'predict_proba') return { ...output, name: 'probabilities', datatype: 'FP32' };
  if (output.datatype === 'FP64') return { ...output, name: 'variable', datatype: 'FP32', shape: [...output.shape, 1] };
  return { ...output, name: 'label' };
}

type Value = number | string | boolean;

interface RawTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly data: Value[];
  readonly tolerance?: Tolerance;
}

interface RawMaps {
  readonly name: string;
  readonly kind: 'seq(map)';
  readonly keys: (number | string)[];
  readonly rows: number[][];
  readonly tolerance?: Tolerance;
}

interface RawSequence {
  readonly name: string;
  readonly kind: 'seq(tensor)';
  readonly items: RawTensor[];
  readonly tolerance?: Tolerance;
}

interface RawCase {
  readonly name: string;
  readonly inputs: RawTensor[];
  readonly outputs: (RawTensor | RawMaps | RawSequence)[];
  readonly true_labels?: Value[];
}

export function readVectors(model: string): VectorCase[] {
  const file = JSON.parse(readFileSync(join(MODELS_DIR, model, 'vectors.json'), 'utf8')) as { format: string; cases: RawCase[] };
  const isSklearn = file.format === 'sklearn';
  return file.cases.map((raw) => ({
    name: raw.name,
    inputs: raw.inputs.map((input) => toTensor(isSklearn ? { ...input, name: 'X' } : input)),
    outputs: raw.outputs.map((output) => toExpected(isSklearn && !('kind' in output) ? asOnnxOutput(output) : output)),
    ...(raw.true_labels?.every((label) => Number.isFinite(Number(label))) ? { trueLabels: raw.true_labels.map(Number) } : {}),
  }));
}

/** Compares name, datatype, shape and every value; a NaN equals a NaN, 0 equals -0. */
export function expectClose(got: Tensor | undefined, want: ExpectedOutput): void {
  if (got === undefined) throw new Error(`output "${want.name}" is missing`);
  expect({ name: got.name, datatype: got.datatype, shape: [...got.shape] }).toEqual({
    name: want.name,
    datatype: want.datatype,
    shape: [...want.shape],
  });
  const gotValues = tensorValues(got);
  const wantValues = tensorValues(want);
  expect(gotValues.length, `elements of "${want.name}"`).toBe(wantValues.length);
  for (let i = 0; i < wantValues.length; i++) {
    if (!isClose(gotValues[i]!, wantValues[i]!, want.tolerance)) {
      expect.fail(`output "${want.name}"[${i}]: got ${String(gotValues[i])}, want ${String(wantValues[i])} within ${JSON.stringify(want.tolerance)}`);
    }
  }
}

export function expectAllClose(got: readonly Tensor[], want: readonly ExpectedOutput[]): void {
  for (const output of want)
    expectClose(
      got.find((tensor) => tensor.name === output.name),
      output,
    );
}

function isClose(got: PlainValue, want: PlainValue, tolerance: Tolerance): boolean {
  if (typeof got !== 'number' || typeof want !== 'number') return got === want;
  if (Number.isNaN(want)) return Number.isNaN(got);
  if (got === want) return true;
  return Math.abs(got - want) <= tolerance.abs + tolerance.rel * Math.abs(want);
}

export type PlainValue = number | bigint | boolean | string;

/** Values a person can read: FP16 and BF16 as numbers, BYTES as UTF-8 text, BOOL as booleans. */
export function tensorValues(tensor: Tensor): PlainValue[] {
  const { data, datatype } = tensor;
  if (isBytesData(data)) return bytesElements(data).map((element) => Buffer.from(element).toString('utf8'));
  if (datatype === 'FP16') return Array.from(data as Uint16Array, halfToNumber);
  if (datatype === 'BF16') return Array.from(data as Uint16Array, bfloatToNumber);
  if (datatype === 'BOOL') return Array.from(data as Uint8Array, (value) => value !== 0);
  return Array.from(data as ArrayLike<number | bigint>);
}

export function bytesElements(data: BytesData): Uint8Array[] {
  const elements: Uint8Array[] = [];
  for (let i = 0; i + 1 < data.offsets.length; i++) elements.push(data.bytes.subarray(data.offsets[i]! + 4, data.offsets[i + 1]));
  return elements;
}

/** BYTES data in wire form from texts (as UTF-8) or raw bytes. */
export function bytesData(elements: readonly (string | Uint8Array)[]): BytesData {
  const encoded = elements.map((element) => (typeof element === 'string' ? Buffer.from(element, 'utf8') : element));
  const offsets = new Uint32Array(encoded.length + 1);
  const bytes = new Uint8Array(encoded.reduce((total, element) => total + 4 + element.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  encoded.forEach((element, i) => {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
    offsets[i + 1] = at;
  });
  return { bytes, offsets };
}

/** A tensor from plain values: "NaN", "Infinity", "-Infinity" and strings of digits stand for what JSON cannot hold. */
export function tensorOf(name: string, datatype: Datatype, shape: readonly number[], values: readonly (Value | bigint)[]): Tensor {
  return { name, datatype, shape, data: dataOf(datatype, values) };
}

function dataOf(datatype: Datatype, values: readonly (Value | bigint)[]): TensorData {
  if (datatype === 'BYTES') return bytesData(values.map(String));
  const data: FixedSizeData = allocateData(datatype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value);
    else if (datatype === 'FP16') data[i] = numberToHalf(Number(value));
    else if (datatype === 'BF16') data[i] = numberToBfloat(Number(value));
    else data[i] = Number(value);
  }
  return data;
}

function toTensor(raw: RawTensor): Tensor {
  if (!isDatatype(raw.datatype)) throw new Error(`vectors.json: unknown datatype ${raw.datatype}`);
  return tensorOf(raw.name, raw.datatype, raw.shape, raw.data);
}

const EXACT: Tolerance = { abs: 0, rel: 0 };

function toExpected(raw: RawTensor | RawMaps | RawSequence): ExpectedOutput {
  const tolerance = raw.tolerance ?? EXACT;
  if (!('kind' in raw)) return { ...toTensor(raw), tolerance };
  if (raw.kind === 'seq(map)') {
    const tensor = tensorOf(raw.name, 'FP32', [raw.rows.length, raw.keys.length], raw.rows.flat());
    return { ...tensor, parameters: createParameters([['keys', JSON.stringify(raw.keys)]]), tolerance };
  }
  const first = raw.items[0];
  if (first === undefined || !isDatatype(first.datatype)) throw new Error(`vectors.json: sequence "${raw.name}" has no items`);
  const values = raw.items.flatMap((item) => item.data);
  return { ...tensorOf(raw.name, first.datatype, [raw.items.length, ...first.shape], values), tolerance };
}

const FLOAT = new Float32Array(1);
const FLOAT_BITS = new Uint32Array(FLOAT.buffer);

function bfloatToNumber(bits: number): number {
  FLOAT_BITS[0] = bits << 16;
  return FLOAT[0]!;
}

/** Rounds to nearest, ties to even. */
function numberToBfloat(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  FLOAT[0] = value;
  const bits = FLOAT_BITS[0]!;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Vectors hold exact FP16 decimals, so the fraction is whole; other values round to nearest, ties to even. */
function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  const shift = 2 ** exponent > magnitude ? exponent - 1 : exponent;
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((shift + 15) << 10) + roundToEven((magnitude / 2 ** shift - 1) * 1024));
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
