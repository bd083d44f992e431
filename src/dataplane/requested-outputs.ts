import { ServingError, invalidRequest } from '../core/errors.ts';
import type { RequestedOutput } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';

const LONGEST_NAME = 128;

/** Throws invalid_request, in KServe's words, for an output that the model does not have or that is asked for twice. */
export function checkRequestedOutputs(requested: readonly RequestedOutput[] | undefined, signature: Signature, modelName: string): void {
  if (requested === undefined || requested.length === 0) return;
  const seen = new Set<string>();
  for (const { name } of requested) {
    if (seen.has(name)) throw invalidRequest(`Duplicate inference output '${shorten(name)}' for model '${modelName}': expected it once`);
    if (!signature.outputs.some((output) => output.name === name))
      throw invalidRequest(`Unexpected inference output '${shorten(name)}' for model '${modelName}'`);
    seen.add(name);
  }
}

/** The outputs in the order asked for; all of them, in the model's order, when none is named. */
export function selectOutputs(outputs: readonly Tensor[], requested: readonly RequestedOutput[] | undefined, modelName: string): readonly Tensor[] {
  if (requested === undefined || requested.length === 0) return outputs;
  return requested.map(({ name }) => {
    const output = outputs.find((candidate) => candidate.name === name);
    if (output === undefined) throw new ServingError('model_failed', `Cannot answer with output "${name}": model "${modelName}" did not produce it`);
    return output;
  });
}

/** Names come from clients: they may be of any length. */
function shorten(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name;
}
