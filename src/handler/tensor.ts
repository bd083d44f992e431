import type { Datatype } from '../core/datatype.ts';
import { isServingError } from '../core/errors.ts';
import { tensorFromElements, type ElementsOf, type TensorOf } from '../core/tensor-elements.ts';
import type { ParameterValue } from '../core/tensor.ts';
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
  try {
    return tensorFromElements(`tensor "${name}"`, name, datatype, shape, elements, parameters);
  } catch (thrown) {
    throw isServingError(thrown) ? handlerFailed(thrown.message, thrown) : thrown;
  }
}
