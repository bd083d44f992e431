import type { Datatype } from '../core/datatype.ts';
import { isServingError } from '../core/errors.ts';
import { dataFromElements, type ElementsOf, type TensorOf } from '../core/tensor-elements.ts';
import { checkTensor, createParameters, type DataOf, type ParameterValue } from '../core/tensor.ts';
import { handlerFailed } from './handler-error.ts';

/** A tensor whose name and datatype the compiler knows. */
export type NamedTensor<N extends string, D extends Datatype> = TensorOf<D> & { readonly name: N };

/**
 * A tensor of `shape` (`[]` is a scalar) from its elements in row-major order; a typed array of the datatype is used in place, without a copy.
 *
 *     tensor('input', 'FP32', [1, 64], pixels)
 *
 * Throws ServingError handler_failed when the number of elements does not fit the shape, or an element is not a value of the datatype: nothing is wrapped or cut.
 */
export function tensor<const N extends string, D extends Datatype>(
  name: N,
  datatype: D,
  shape: readonly number[],
  elements: ElementsOf[D],
  parameters?: Readonly<Record<string, ParameterValue>>,
): NamedTensor<N, D> {
  const what = `tensor "${name}"`;
  try {
    const made = {
      name,
      datatype,
      shape,
      data: dataFromElements(datatype, elements, what) as DataOf[D],
      ...(parameters === undefined ? {} : { parameters: createParameters(Object.entries(parameters)) }),
    };
    checkTensor(made, what);
    return made;
  } catch (thrown) {
    throw isServingError(thrown) ? handlerFailed(thrown.message, thrown) : thrown;
  }
}
