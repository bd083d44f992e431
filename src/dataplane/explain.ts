import type { RequestContext } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { ServedModel } from '../repository/index.ts';
import { checkRequest } from './check-request.ts';
import type { Explainer, Predict } from './dataplane.ts';
import { selectOutputs } from './requested-outputs.ts';

/** KServe's own words, which its clients and tests look for. */
export function cannotExplain(): ServingError {
  return new ServingError('unimplemented', 'Could not find explainer_host.');
}

/** Explains a checked request: by the handler when it can, else by the server's explainer. `ctx` has the request's own deadline. */
export function runExplain(model: ServedModel, explainer: Explainer | undefined, request: InferRequest, ctx: RequestContext): Promise<InferResponse> {
  if (model.capabilities.explains) return model.scheduler.submit({ verb: 'explain', request }, ctx);
  if (explainer === undefined) throw cannotExplain();
  const { body } = request;
  if (body !== undefined) {
    const got = `a body of "${body.contentType.slice(0, 100)}"`;
    throw new ServingError('unsupported_media_type', `Cannot explain model "${model.name}": the server's explainer takes tensors, got ${got}`);
  }
  return explainer.explain(request, model, predictOf(model, ctx), ctx);
}

/** Predictions for an explainer: checked like a client's, behind all of theirs, and over with the request that is explained. */
function predictOf(model: ServedModel, ctx: RequestContext): Predict {
  return async (inputs, outputs) => {
    const request: InferRequest = {
      modelName: model.name,
      modelVersion: model.version,
      inputs,
      ...(outputs === undefined ? {} : { outputs: outputs.map((name) => ({ name })) }),
    };
    checkRequest(request, model);
    const response = await model.scheduler.submit({ verb: 'infer', request, priority: 'low' }, ctx);
    if (response.body !== undefined) {
      const got = `a body of "${response.body.contentType.slice(0, 100)}"`;
      throw new ServingError('unimplemented', `Cannot explain model "${model.name}": expected tensors as its answer, got ${got}`);
    }
    return selectOutputs(response, request.outputs, model);
  };
}
