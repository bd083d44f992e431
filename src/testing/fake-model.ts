import type { InferResponse } from '../core/infer.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';
import { HandlerRequest, type ReplyInit, type ResponseInit } from '../handler/index.ts';
import { checkInputs, checkOutputs, type NextModel } from '../pipeline/index.ts';

type Awaitable<T> = T | Promise<T>;

/** Stands in for the model, or for the predictor elsewhere: what it returns is what `next` resolves with, what it throws is what `next` rejects with. */
export type FakeNext = (request: HandlerRequest) => Awaitable<readonly Tensor[] | ResponseInit | ReplyInit>;

/** What a real model would say of itself. With it, `next` refuses tensors that the model does not take. */
export interface FakeModel {
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export function fakeModel(next: FakeNext, signature: FakeModel | undefined): NextModel {
  return {
    signature,
    platform: 'kserve-node_test',
    properties: {},
    // A model of unknown signature can only be elsewhere: it takes anything, bodies too.
    isElsewhere: signature === undefined,
    check: (request) => {
      if (signature === undefined || request.body !== undefined) return;
      checkInputs(request.inputs, signature, request.modelName);
      checkOutputs(request.outputs, signature, request.modelName);
    },
    infer: async (request) => ({ modelName: request.modelName, ...takeAnswer(await next(new HandlerRequest(request))) }),
    dispose: () => Promise.resolve(),
  };
}

function takeAnswer(answer: Awaited<ReturnType<FakeNext>>): Pick<InferResponse, 'outputs' | 'parameters' | 'body'> {
  if ('body' in answer) return { outputs: [], body: answer.body };
  return 'outputs' in answer ? answer : { outputs: answer };
}
