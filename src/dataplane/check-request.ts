import { invalidRequest } from '../core/errors.ts';
import type { InferRequest } from '../core/infer.ts';
import { checkTensor, type Tensor } from '../core/tensor.ts';
import { checkInputs } from '../pipeline/index.ts';
import { checkBody } from './accepted-body.ts';
import type { ResolvedModel } from './dataplane.ts';
import { checkRequestedOutputs, shortenName } from './requested-outputs.ts';
import { checkSharedDimensions } from './shared-dimensions.ts';

/** Checks a request against what the model publishes. Throws unsupported_media_type for a body that it does not take, else invalid_request. */
export function checkRequest(request: InferRequest, model: ResolvedModel): void {
  const { signature, name } = model;
  if (request.body !== undefined) checkBody(request.body, model);
  else if (signature.isOpen === true) checkOpenInputs(request.inputs);
  else {
    checkInputs(request.inputs, signature, name);
    checkSharedDimensions(request.inputs, signature);
  }
  checkRequestedOutputs(request.outputs, signature, name);
}

/** All that can be said of inputs that nobody declared: one tensor of a name, with data that fills its shape. */
function checkOpenInputs(inputs: readonly Tensor[]): void {
  const seen = new Set<string>();
  for (const input of inputs) {
    const what = `input "${shortenName(input.name)}"`;
    if (seen.has(input.name)) throw invalidRequest(`Duplicate ${what}: expected it once`);
    seen.add(input.name);
    checkTensor(input, what);
  }
}
