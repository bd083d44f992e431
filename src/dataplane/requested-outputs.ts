import { ServingError, invalidRequest } from '../core/errors.ts';
import type { InferResponse, RequestedOutput } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';

const LONGEST_NAME = 128;

/**
 * Throws invalid_request, in KServe's words, for an output that the model does not have or that is asked for twice. Names are left to `selectOutputs` when
 * the model publishes no outputs.
 */
export function checkRequestedOutputs(requested: readonly RequestedOutput[] | undefined, signature: Signature, modelName: string): void {
  if (requested === undefined || requested.length === 0) return;
  const isUnknown = signature.outputs.length === 0;
  const seen = new Set<string>();
  for (const { name } of requested) {
    if (seen.has(name)) throw invalidRequest(`Duplicate inference output '${shortenName(name)}' for model '${modelName}': expected it once`);
    if (!isUnknown && !signature.outputs.some((output) => output.name === name)) throw unexpectedOutput(name, modelName);
    seen.add(name);
  }
}

/** The outputs in the order asked for; all of them, in the model's order, when none is named. A body is the whole answer: nothing is selected from it. */
export function selectOutputs(
  { body, outputs }: InferResponse,
  requested: readonly RequestedOutput[] | undefined,
  model: { readonly name: string; readonly signature: Signature },
): readonly Tensor[] {
  if (body !== undefined || requested === undefined || requested.length === 0) return outputs;
  return requested.map(({ name }) => {
    const output = outputs.find((candidate) => candidate.name === name);
    if (output !== undefined) return output;
    // Nobody promised outputs that are not published.
    if (model.signature.outputs.length === 0) throw unexpectedOutput(name, model.name);
    throw new ServingError('model_failed', `Cannot answer with output "${name}": model "${model.name}" did not produce it`);
  });
}

/** Names come from clients: they may be of any length. */
export function shortenName(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name;
}

function unexpectedOutput(name: string, modelName: string): ServingError {
  return invalidRequest(`Unexpected inference output '${shortenName(name)}' for model '${modelName}'`);
}
