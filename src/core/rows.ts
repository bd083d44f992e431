import type { InferRequest } from './infer.ts';
import type { Signature } from './metadata.ts';
import type { Parameters, Tensor } from './tensor.ts';

/** Names that converters make up for dimensions they know nothing of. */
const MADE_UP = /^unk__\d+$/;

/**
 * Why no run of the model can hold rows of several requests, as far as its signature tells; undefined when one might: all inputs and outputs have a first
 * dimension that varies, and no two of them name it differently. That the rows are independent is more than a signature can tell.
 */
export function whyNoRows({ isOpen, inputs, outputs }: Signature): string | undefined {
  if (isOpen === true || inputs.length === 0) return 'its inputs are not declared';
  let shared: { readonly name: string; readonly where: string } | undefined;
  for (const [what, list] of [
    ['input', inputs],
    ['output', outputs],
  ] as const) {
    for (const { name, shape, dimensionNames } of list) {
      const where = `${what} "${name}"`;
      if (shape[0] !== -1) return `the first dimension of ${where} does not vary`;
      const dimension = dimensionNames?.[0];
      if (dimension === undefined || dimension === '' || MADE_UP.test(dimension)) continue;
      shared ??= { name: dimension, where };
      if (dimension !== shared.name) return `the first dimension is "${shared.name}" in ${shared.where} and "${dimension}" in ${where}`;
    }
  }
  return undefined;
}

/** Rows of a request: the first dimension that all its inputs have in common; undefined when they have none. */
export function rowsOf(inputs: readonly Tensor[]): number | undefined {
  const rows = inputs[0]?.shape[0];
  for (let i = 1; i < inputs.length; i++) if (inputs[i]?.shape[0] !== rows) return undefined;
  return rows;
}

/** Parameters that say when a request runs and how tensors travel; the model never sees them. */
const OUTSIDE: ReadonlySet<string> = new Set(['priority', 'timeout', 'binary_data', 'binary_data_output', 'binary_data_size']);

/**
 * Requests of one form can run together: names, datatypes, shapes but for the rows, parameters and wanted outputs all agree. Inputs in another order are another
 * form. Names cannot be confused with each other: they stand in it as JSON.
 */
export function formOf({ inputs, outputs, parameters }: Pick<InferRequest, 'inputs' | 'outputs' | 'parameters'>): string {
  let form = parameters === undefined ? '' : parametersForm(parameters);
  for (const { name, datatype, shape, parameters: own } of inputs) {
    form += `${JSON.stringify(name)}${datatype}`;
    for (let axis = 1; axis < shape.length; axis++) form += `,${String(shape[axis])}`;
    form += own === undefined ? ';' : `${parametersForm(own)};`;
  }
  if (outputs !== undefined) for (const { name } of outputs) form += `>${JSON.stringify(name)}`;
  return form;
}

function parametersForm(parameters: Parameters): string {
  let form = '';
  for (const name of Object.keys(parameters).sort()) {
    if (OUTSIDE.has(name)) continue;
    const value = parameters[name];
    // As text, zero loses its sign.
    form += `${JSON.stringify(name)}:${typeof value}${JSON.stringify(Object.is(value, -0) ? '-0' : String(value))}`;
  }
  return form === '' ? '' : `{${form}}`;
}
