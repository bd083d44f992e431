import { isDatatype, type Datatype } from '../core/datatype.ts';
import { allocateData, checkTensor, formatShape, type Tensor } from '../core/tensor.ts';
import { describeValue } from '../handler/index.ts';
import { WrongAnswer } from './wrong-answer.ts';

/**
 * Tensors as user code gave them: each has a name of its own, a datatype, a shape, and data of that datatype that fills the shape. Nothing is copied.
 * Throws WrongAnswer that names the tensor and the fix. `noun` is what they are.
 */
export function takeTensors(value: unknown, noun: 'inputs' | 'outputs'): readonly Tensor[] {
  if (!Array.isArray(value)) throw new WrongAnswer(`${noun} must be an array of tensors, got ${describeValue(value)}`);
  const tensors = value as readonly unknown[];
  const names = new Set<string>();
  for (let i = 0; i < tensors.length; i++) {
    const { name } = takeTensor(tensors[i], `${noun}[${i}]`);
    if (names.has(name)) throw new WrongAnswer(`${noun} must have names of their own, got "${name}" twice`);
    names.add(name);
  }
  return tensors as readonly Tensor[];
}

const MAKE = 'make one with tensor(name, datatype, shape, elements)';

function takeTensor(value: unknown, at: string): Tensor {
  if (typeof value !== 'object' || value === null) throw new WrongAnswer(`${at} must be a tensor, got ${describeValue(value)}: ${MAKE}`);
  const { name, datatype, shape, data } = value as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || name === '') throw new WrongAnswer(`${at} must be a tensor with a name, got ${describeValue(value)}: ${MAKE}`);
  const what = `tensor "${name}"`;
  if (typeof datatype !== 'string' || !isDatatype(datatype))
    throw new WrongAnswer(`${what} must have a datatype such as FP32, got ${describeValue(datatype)}`);
  if (!Array.isArray(shape)) throw new WrongAnswer(`${what} must have a shape, an array of sizes, got ${describeValue(shape)}`);
  if (!isDataOf(datatype, data))
    throw new WrongAnswer(`${what} must hold data of ${datatype} ${formatShape(shape as number[])}, got ${describeValue(data)}: ${MAKE}`);
  try {
    checkTensor(value as Tensor, what);
  } catch (thrown) {
    throw new WrongAnswer(thrown instanceof Error ? thrown.message : what, { cause: thrown });
  }
  return value as Tensor;
}

const STORAGE = new Map<Datatype, unknown>();

function isDataOf(datatype: Datatype, data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  if (datatype === 'BYTES') {
    const { bytes, offsets } = data as Readonly<Record<string, unknown>>;
    return bytes instanceof Uint8Array && offsets instanceof Uint32Array && offsets.length > 0;
  }
  let storage = STORAGE.get(datatype);
  if (storage === undefined) {
    storage = allocateData(datatype, 0).constructor;
    STORAGE.set(datatype, storage);
  }
  return data instanceof (storage as new () => object);
}
