import type { JsonSchema } from '../http/index.ts';

/** Bodies of the v1 routes that the v2 routes do not have, by the names that their documentation uses. */
export const V1_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  PredictRequest: {
    type: 'object',
    description: 'Rows under "instances", or columns under "inputs", as TensorFlow Serving defines them',
    properties: {
      instances: { type: 'array', items: {} },
      inputs: { type: ['array', 'object', 'string', 'number', 'boolean'] },
      signature_name: { type: 'string' },
    },
    anyOf: [{ required: ['instances'] }, { required: ['inputs'] }],
  },
  PredictResponse: {
    type: 'object',
    description: '"predictions" answers "instances", "outputs" answers "inputs"',
    properties: { predictions: {}, outputs: {} },
    anyOf: [{ required: ['predictions'] }, { required: ['outputs'] }],
  },
  ExplainResponse: {
    type: 'object',
    description: 'What the handler or the explainer makes of it; tensors are in the form of "predictions"',
    properties: { explanations: {} },
  },
};
