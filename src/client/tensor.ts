import type { Datatype } from '../core/datatype.ts';
import { dataFromElements, type ElementsOf, type TensorOf } from '../core/tensor-elements.ts';
import { checkTensor, createParameters, type DataOf, type ParameterValue } from '../core/tensor.ts';
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
  const what = `input "${name}"`;
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
    throw invalidCall(messageOf(thrown), thrown);
  }
}
