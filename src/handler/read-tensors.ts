import { isBigIntDatatype, type Datatype } from '../core/datatype.ts';
import { isServingError, type ServingError } from '../core/errors.ts';
import { bfloat16ToNumber, float16ToNumber } from '../core/float16.ts';
import type { Body } from '../core/infer.ts';
import { bytesElement, stringsFromBytes } from '../core/tensor-bytes.ts';
import { isBytesData, type BytesData, type FixedSizeData, type Tensor, type TensorData } from '../core/tensor.ts';

/** One side of a call as its readers see it: what to read from, how to name it, and whose fault it is when it is not there. */
export interface Readable {
  readonly noun: 'input' | 'output';
  /** For messages, e.g. `the request`. */
  readonly whole: string;
  readonly tensors: readonly Tensor[];
  readonly body: Body | undefined;
  fail(message: string, cause?: unknown): ServingError;
}

export function findTensor(from: Readable, name: string): Tensor {
  for (const tensor of from.tensors) if (tensor.name === name) return tensor;
  throw from.fail(`Cannot read ${from.noun} "${name}": ${from.whole} has ${describeContents(from)}`);
}

/** Elements in row-major order. `datatype` undefined: of whatever datatype it is. */
export function readData(from: Readable, name: string, datatype: Datatype | undefined): TensorData {
  const found = findTensor(from, name);
  if (datatype !== undefined && found.datatype !== datatype) {
    throw from.fail(`Cannot read ${from.noun} "${name}" as ${datatype}: it is ${found.datatype}`);
  }
  return found.data;
}

export function readNumbers(from: Readable, name: string): number[] {
  const { datatype, data } = findTensor(from, name);
  if (isBytesData(data) || isBigIntDatatype(datatype) || datatype === 'BOOL') {
    throw from.fail(`Cannot read ${from.noun} "${name}" as numbers: it is ${datatype}`);
  }
  if (datatype === 'FP16') return Array.from(data as Uint16Array, float16ToNumber);
  if (datatype === 'BF16') return Array.from(data as Uint16Array, bfloat16ToNumber);
  return Array.from(data as Exclude<FixedSizeData, BigInt64Array | BigUint64Array>);
}

export function readStrings(from: Readable, name: string): string[] {
  const data = bytesData(from, name, 'strings');
  try {
    return stringsFromBytes(data);
  } catch (thrown) {
    throw from.fail(`Cannot read ${from.noun} "${name}" as strings: ${isServingError(thrown) ? thrown.message : 'unreadable'}`, thrown);
  }
}

/** Views of the tensor's memory. */
export function readBytes(from: Readable, name: string): Uint8Array[] {
  const data = bytesData(from, name, 'bytes');
  return Array.from({ length: data.offsets.length - 1 }, (_, index) => bytesElement(data, index));
}

export function readText(from: Readable): string {
  return decodeText(from, bodyOf(from, 'text'), 'text');
}

export function readJson(from: Readable): unknown {
  const text = decodeText(from, bodyOf(from, 'JSON'), 'JSON');
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw from.fail(`Cannot read the body of ${from.whole} as JSON: ${thrown instanceof Error ? thrown.message : ''}`, thrown);
  }
}

function bytesData(from: Readable, name: string, wanted: string): BytesData {
  const { datatype, data } = findTensor(from, name);
  if (!isBytesData(data)) throw from.fail(`Cannot read ${from.noun} "${name}" as ${wanted}: it is ${datatype}`);
  return data;
}

function bodyOf(from: Readable, wanted: string): Body {
  if (from.body === undefined) throw from.fail(`Cannot read the body of ${from.whole} as ${wanted}: it has ${describeContents(from)} and no body`);
  return from.body;
}

const CHARSET = /;\s*charset\s*=\s*"?([^\s";]+)/i;

function decodeText(from: Readable, { contentType, bytes }: Body, wanted: string): string {
  const charset = CHARSET.exec(contentType)?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (thrown) {
    const why = thrown instanceof RangeError ? `unknown charset ${JSON.stringify(charset)}` : `expected ${charset}, got other bytes`;
    throw from.fail(`Cannot read the body of ${from.whole} as ${wanted}: ${why}`, thrown);
  }
}

function describeContents({ noun, tensors, body }: Readable): string {
  if (tensors.length > 0) return tensors.map((tensor) => `"${tensor.name}"`).join(', ');
  return body === undefined ? `no ${noun}s` : `no ${noun}s but a body of ${body.contentType}`;
}
