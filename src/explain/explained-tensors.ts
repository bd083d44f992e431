import { isFloatDatatype } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import { formatShape, type Tensor } from '../core/tensor.ts';
import { isNumeric, type NumericTensor } from './numbers.ts';

/** The input whose values are explained: the one named, else the only numeric one. Throws invalid_request. */
export function chooseInput(inputs: readonly Tensor[], name: string | undefined): NumericTensor {
  const candidates = inputs.filter((input) => (name === undefined ? isNumeric(input) : input.name === name));
  const [input, second] = candidates;
  if (input === undefined && name === undefined)
    throw invalidRequest('Cannot explain: expected an input of numbers, got only inputs of BYTES or none');
  if (input === undefined) throw invalidRequest(`Cannot explain: expected input ${quote(name)}, got ${listNames(inputs)}`);
  if (second !== undefined) {
    throw invalidRequest(
      `Cannot explain: expected one numeric input, got ${listNames(candidates)}; name one with --explainer_input or the request parameter "input"`,
    );
  }
  if (!isNumeric(input)) throw invalidRequest(`Cannot explain input ${quote(input.name)}: expected numbers, got BYTES`);
  if (input.shape.length === 0 || input.data.length === 0) {
    throw invalidRequest(`Cannot explain input ${quote(input.name)}: expected at least one row with values, got shape ${formatShape(input.shape)}`);
  }
  return input;
}

/**
 * The output that is explained: the one named, else the first of floating point, else the first numeric one (classifiers often give a label before the
 * probabilities). Undefined when nothing is known of the outputs yet. Throws invalid_request.
 */
export function chooseOutput(outputs: readonly Pick<TensorMetadata, 'name' | 'datatype'>[], name: string | undefined): string | undefined {
  if (outputs.length === 0) return name;
  if (name !== undefined) {
    const named = outputs.find((output) => output.name === name);
    if (named === undefined) throw invalidRequest(`Cannot explain output ${quote(name)}: expected ${listNames(outputs)}`);
    if (named.datatype === 'BYTES') throw invalidRequest(`Cannot explain output ${quote(name)}: expected numbers, got BYTES`);
    return name;
  }
  const chosen = outputs.find(({ datatype }) => isFloatDatatype(datatype)) ?? outputs.find(({ datatype }) => datatype !== 'BYTES');
  if (chosen === undefined) throw invalidRequest(`Cannot explain: expected an output of numbers, got only BYTES: ${listNames(outputs)}`);
  return chosen.name;
}

const LONGEST_NAME = 128;

function quote(name = ''): string {
  return JSON.stringify(name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name);
}

function listNames(tensors: readonly { readonly name: string }[]): string {
  if (tensors.length === 0) return 'none';
  return tensors
    .slice(0, 16)
    .map(({ name }) => quote(name))
    .join(', ');
}
