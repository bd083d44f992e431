import { invalidRequest } from '../core/errors.ts';
import type { RequestedOutput } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import { listNames, quoteName } from './name-list.ts';

/** Names of the outputs to compute, in the order asked for; empty means all. Throws ServingError invalid_request for an unknown or repeated name. */
export function checkOutputs(outputs: readonly RequestedOutput[] | undefined, signature: Signature, modelName: string): readonly string[] {
  if (outputs === undefined || outputs.length === 0) return [];
  const wanted = new Set<string>();
  for (const { name } of outputs) {
    if (!signature.outputs.some((metadata) => metadata.name === name)) {
      const expected = listNames(signature.outputs, 'outputs');
      throw invalidRequest(`Unexpected output ${quoteName(name)} for model ${quoteName(modelName)}: expected ${expected}`);
    }
    if (wanted.has(name)) throw invalidRequest(`Duplicate output ${quoteName(name)} for model ${quoteName(modelName)}: expected it once`);
    wanted.add(name);
  }
  return [...wanted];
}
