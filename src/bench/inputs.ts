import type { Datatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import type { Random } from '../core/random.ts';
import { dataFromElements } from '../core/tensor-elements.ts';
import { elementCount, formatShape, type Tensor } from '../core/tensor.ts';

/** Small enough to be an index into most vocabularies. */
const MAX_INTEGER = 10;

/**
 * Random inputs that a model with this metadata takes. Floats lie in [0, 1), integers in [0, 10), texts are a few letters. Dimensions that vary are those of
 * `shapes`, else 1. Throws invalid_request when a shape of `shapes` does not fit, or names no input.
 */
export function makeInputs(inputs: readonly TensorMetadata[], shapes: ReadonlyMap<string, readonly number[]>, random: Random): readonly Tensor[] {
  for (const name of shapes.keys()) {
    if (inputs.some((input) => input.name === name)) continue;
    throw invalidRequest(`Cannot use --shape of input "${name}": the model has ${inputs.map((input) => `"${input.name}"`).join(', ')}`);
  }
  return inputs.map((input) => {
    const shape = shapeOf(input, shapes.get(input.name));
    const what = `input "${input.name}"`;
    const elements = makeElements(input.datatype, elementCount(shape, what), random);
    return { name: input.name, datatype: input.datatype, shape, data: dataFromElements(input.datatype, elements, what) };
  });
}

function shapeOf({ name, shape }: TensorMetadata, wanted: readonly number[] | undefined): readonly number[] {
  if (wanted === undefined) return shape.map((dimension) => (dimension < 0 ? 1 : dimension));
  const fits = wanted.length === shape.length && shape.every((dimension, axis) => dimension < 0 || dimension === wanted[axis]);
  if (fits) return wanted;
  throw invalidRequest(`Cannot use --shape of input "${name}": expected ${formatShape(shape)}, got ${formatShape(wanted)}`);
}

type Elements = number[] | bigint[] | boolean[] | string[];

function makeElements(datatype: Datatype, count: number, random: Random): Elements {
  const integer = (): number => Math.floor(random() * MAX_INTEGER);
  switch (datatype) {
    case 'BYTES':
      return Array.from({ length: count }, () => String.fromCharCode(...Array.from({ length: 1 + integer() }, () => 97 + Math.floor(random() * 26))));
    case 'BOOL':
      return Array.from({ length: count }, () => random() < 0.5);
    case 'INT64':
    case 'UINT64':
      return Array.from({ length: count }, () => BigInt(integer()));
    case 'FP16':
    case 'BF16':
    case 'FP32':
    case 'FP64':
      return Array.from({ length: count }, random);
    default:
      return Array.from({ length: count }, integer);
  }
}
