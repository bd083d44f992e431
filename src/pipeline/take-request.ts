import type { InferRequest } from '../core/infer.ts';
import { createParameters, type Parameters, type ParameterValue } from '../core/tensor.ts';
import { describeValue, unwrapRequest } from '../handler/index.ts';
import { takeTensors } from './take-tensors.ts';
import { WrongAnswer } from './wrong-answer.ts';

/**
 * The request that user code goes on with: tensors, tensors with outputs or parameters, or a HandlerRequest as it is. What it leaves out comes from `current`.
 * Throws WrongAnswer that says what it got and what was expected.
 */
export function takeRequest(value: unknown, current: InferRequest, got: 'it returned' | 'next got' | 'predict got'): InferRequest {
  const unchanged = unwrapRequest(value);
  if (unchanged !== undefined) return unchanged;
  if (Array.isArray(value)) return continueWith(current, { inputs: value });
  if (typeof value === 'object' && value !== null && 'inputs' in value) return continueWith(current, value);
  throw new WrongAnswer(`${got} ${describeValue(value)}, expected tensors, { inputs: [tensor(…)] } or the request`);
}

function continueWith(
  current: InferRequest,
  init: { readonly inputs: unknown; readonly outputs?: unknown; readonly parameters?: unknown },
): InferRequest {
  const { modelName, modelVersion, id } = current;
  const outputs = init.outputs === undefined ? current.outputs : takeNames(init.outputs).map((name) => ({ name }));
  const parameters = init.parameters === undefined ? current.parameters : takeParameters(init.parameters);
  return {
    modelName,
    ...(modelVersion === undefined ? undefined : { modelVersion }),
    ...(id === undefined ? undefined : { id }),
    inputs: takeTensors(init.inputs, 'inputs'),
    ...(outputs === undefined ? undefined : { outputs }),
    ...(parameters === undefined ? undefined : { parameters }),
  };
}

function takeNames(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
  throw new WrongAnswer(`outputs must be names of outputs, got ${describeValue(value)}`);
}

export function takeParameters(value: unknown): Parameters {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new WrongAnswer(`parameters must be an object, got ${describeValue(value)}`);
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  for (const [name, entry] of entries) {
    if (!PARAMETER_KINDS.has(typeof entry))
      throw new WrongAnswer(`parameters.${name} must be text, a number, a bigint, true or false, got ${describeValue(entry)}`);
  }
  return createParameters(entries as readonly (readonly [string, ParameterValue])[]);
}

const PARAMETER_KINDS: ReadonlySet<string> = new Set(['string', 'number', 'bigint', 'boolean']);
