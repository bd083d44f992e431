import type { RequestContext } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../../../src/core/infer.ts';
import type { Capabilities, Signature, TensorMetadata } from '../../../src/core/metadata.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { Explainer } from '../../../src/dataplane/index.ts';
import type { ServedModel } from '../../../src/repository/index.ts';
import { OWN_BODY } from './rest-wires.ts';

const fp32 = (name: string, shape: readonly number[]): TensorMetadata => ({ name, datatype: 'FP32', shape });

export const SIGNATURE: Signature = { inputs: [fp32('x', [-1, 2])], outputs: [fp32('y', [-1, 2])] };
/** What explanations look like, from handlers and from the server's explainer. */
export const EXPLANATION: Signature = { inputs: SIGNATURE.inputs, outputs: [fp32('importance', [-1, 2])] };
const OPEN: Signature = { isOpen: true, inputs: [], outputs: [] };

type Run = (request: InferRequest, ctx: RequestContext, verb: Verb) => Partial<InferResponse>;

/** A model with a handler, as the protocols know it: what it publishes, and what it does with a request. */
interface HandlerModel {
  readonly signature?: Signature;
  readonly capabilities?: Partial<Capabilities>;
  readonly run: Run;
}

/** Every value of the first input times `factor`. */
function scaled(request: InferRequest, name: string, factor: number): Tensor[] {
  const { data, shape } = request.inputs[0] ?? { data: new Float32Array(), shape: [0, 2] };
  return [{ name, datatype: 'FP32', shape, data: (data as Float32Array).map((value) => value * factor) }];
}

/** The bytes of a body as a row of two numbers: how many there are, and the first. */
function described({ body }: InferRequest): Tensor[] {
  return [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(body?.bytes.length ?? -1, body?.bytes[0] ?? -1) }];
}

const fail = (reason: 'invalid_request' | 'handler_failed', message: string): never => {
  throw new ServingError(reason, message);
};

export const MODELS: Readonly<Record<string, HandlerModel>> = {
  double: { run: (request) => ({ outputs: scaled(request, 'y', 2) }) },
  headers: {
    run: (request, ctx) => ({ outputs: scaled(request, 'y', 1), headers: { 'x-label': 'seven', 'x-tenant': ctx.headers['x-tenant'] ?? 'nobody' } }),
  },
  refuses: { run: () => fail('invalid_request', 'Cannot read the image: expected PNG, got GIF') },
  throws: { run: () => fail('handler_failed', 'Cannot run preprocess of model "throws"') },
  explains: {
    capabilities: { explains: true },
    run: (request, _, verb) => ({ outputs: verb === 'explain' ? scaled(request, 'importance', -1) : scaled(request, 'y', 2) }),
  },
  picture: {
    capabilities: { accepts: ['image/*', 'text/csv'], explains: true },
    run: (request) => ({ outputs: request.body === undefined ? scaled(request, 'y', 2) : described(request) }),
  },
  mirror: {
    capabilities: { accepts: ['image/*'] },
    run: ({ body }) => ({ outputs: [], body: { contentType: 'image/png', bytes: body?.bytes ?? Uint8Array.of(1, 2, 3) } }),
  },
  words: {
    signature: OPEN,
    capabilities: { accepts: ['application/json'] },
    run: ({ body }) => ({
      outputs: [],
      body: { contentType: 'application/json', bytes: Buffer.from(`{"heard":${Buffer.from(body?.bytes ?? []).toString()}}`) },
      headers: { [OWN_BODY]: 'yes' },
    }),
  },
  open: { signature: OPEN, run: ({ inputs }) => ({ outputs: inputs }) },
};

export function servedModel(name: string, { signature = SIGNATURE, capabilities, run }: HandlerModel): ServedModel {
  return {
    name,
    version: '1',
    signature,
    capabilities: { accepts: [], explains: false, ...capabilities },
    platform: 'handler',
    properties: {},
    isReady: true,
    scheduler: {
      queueDepth: 0,
      running: 0,
      submit: async ({ request, verb }, ctx) => {
        await Promise.resolve();
        return { modelName: name, outputs: [], ...run(request, ctx, verb) };
      },
      drain: () => Promise.resolve(),
    },
  };
}

/** How much each value adds to twice itself: predicts once, so that the way through the dataplane is gone. */
export const EXPLAINER: Explainer = {
  async explain(request, model, predict) {
    const [prediction] = await predict(request.inputs);
    if (prediction === undefined) throw new ServingError('model_failed', 'no prediction');
    return { modelName: model.name, outputs: scaled({ ...request, inputs: [prediction] }, 'importance', 0.5) };
  },
};
