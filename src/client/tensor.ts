import type { Datatype } from '../core/datatype.ts';
import { tensorFromElements, type ElementsOf, type TensorOf } from '../core/tensor-elements.ts';
import type { ParameterValue } from '../core/tensor.ts';
import { invalidCall, messageOf } from './inference-error.ts';

export type { ElementsOf, TensorOf };

/**
 * An input tensor of `shape` (`[]` is a scalar) from its elements in row-major order.
 *
 *     tensor('input', 'FP32', [1, 64], pixels)
 *
 * Throws InferenceError `invalid_request` when the number of elements does not fit the shape, or an element is not a value of the datatype: nothing is
 * wrapped or cut. `parameters` are the tensor's own.
 */
export function tensor<D extends Datatype>(
  name: string,
  datatype: D,
  shape: readonly number[],
  elements: ElementsOf[D],
  parameters?: Readonly<Record<string, ParameterValue>>,
): TensorOf<D> {
  try {
    return tensorFromElements(`input "${name}"`, name, datatype, shape, elements, parameters);
  } catch (thrown) {
    throw invalidCall(messageOf(thrown), thrown);
  }
}
