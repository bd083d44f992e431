import type { Scenario, WireName } from './scenarios.ts';
import type { PlainBody, PlainRequest, PlainTensor } from './wire.ts';

const tensor = (name: string, values: readonly number[]): PlainTensor => ({ name, datatype: 'FP32', shape: [values.length / 2, 2], values });
const ask = (model: string, rest: Partial<PlainRequest> = {}): PlainRequest => ({ model, inputs: [tensor('x', [1, -2.5])], ...rest });
const send = (model: string, contentType: string, bytes: Uint8Array, rest: Partial<PlainRequest> = {}): PlainRequest => ({
  model,
  inputs: [],
  body: { contentType, bytes },
  ...rest,
});

const PNG: PlainBody = { contentType: 'image/png', bytes: Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 0xff) };
const TENSORS_ONLY = 'gRPC messages hold tensors, no bodies of other media types';
const NO_BODIES = { 'gRPC typed': TENSORS_ONLY, 'gRPC raw': TENSORS_ONLY } as const;
const NO_BODY_BACK = { 'gRPC typed': ['unimplemented', /only HTTP can carry/], 'gRPC raw': ['unimplemented', /only HTTP can carry/] } as const;
const OBJECTS_OF_V1 = 'objects of one’s own are what v1 has instead of tensors';
const V1_ALONE: Readonly<Partial<Record<WireName, string>>> = {
  ...NO_BODIES,
  'v2 JSON': OBJECTS_OF_V1,
  'v2 binary': OBJECTS_OF_V1,
};

/** What handlers add to the protocols: parity where every protocol can carry it, and what only one can carry with the reason. */
export const HANDLER_SCENARIOS: readonly Scenario[] = [
  { name: 'a handler between tensors', request: ask('double'), outputs: [tensor('y', [2, -5])], isExact: true },
  {
    name: 'a handler between several rows',
    request: { model: 'double', inputs: [tensor('x', [1, 2, 3, 4])] },
    outputs: [tensor('y', [2, 4, 6, 8])],
    isExact: true,
  },
  {
    name: 'headers of the request reach the handler, and its own come back',
    request: ask('headers', { headers: { 'x-tenant': 'blue' } }),
    outputs: [tensor('y', [1, -2.5])],
    headers: { 'x-label': 'seven', 'x-tenant': 'blue' },
  },
  {
    name: 'a body in, tensors out',
    request: send('picture', 'image/png', PNG.bytes),
    outputs: [tensor('y', [6, 0x89])],
    cannotCarry: NO_BODIES,
  },
  {
    name: 'a body of any accepted type, parameters aside',
    request: send('picture', 'Text/CSV; charset=utf-8', Buffer.from('1,2')),
    outputs: [tensor('y', [3, 0x31])],
    cannotCarry: NO_BODIES,
  },
  {
    name: 'an empty body',
    request: send('picture', 'image/gif', new Uint8Array()),
    outputs: [tensor('y', [0, -1])],
    cannotCarry: NO_BODIES,
  },
  { name: 'tensors to a handler that accepts bodies too', request: ask('picture'), outputs: [tensor('y', [2, -5])] },
  { name: 'a body in, a body out', request: send('mirror', PNG.contentType, PNG.bytes), body: PNG, cannotCarry: NO_BODIES },
  {
    name: 'tensors in, a body out',
    request: ask('mirror'),
    body: { contentType: 'image/png', bytes: Uint8Array.of(1, 2, 3) },
    differs: NO_BODY_BACK,
  },
  {
    name: 'an object of one’s own, both ways',
    request: send('words', 'application/json', Buffer.from('{"say":["hello"]}')),
    body: { contentType: 'application/json', bytes: Buffer.from('{"heard":{"say":["hello"]}}') },
    cannotCarry: V1_ALONE,
  },
  {
    name: 'tensors to a model that publishes nothing',
    request: ask('open', { inputs: [tensor('anything', [3, 4])] }),
    outputs: [tensor('anything', [3, 4])],
    cannotCarry: { v1: 'v1 has no datatypes: without a signature its numbers are no tensors' },
  },
  { name: 'the handler explains', request: ask('explains', { verb: 'explain' }), outputs: [tensor('importance', [-1, 2.5])] },
  { name: 'a handler that explains predicts too', request: ask('explains'), outputs: [tensor('y', [2, -5])] },
  { name: 'the server’s explainer explains', request: ask('double', { verb: 'explain' }), outputs: [tensor('importance', [1, -2.5])] },
  {
    name: 'a body is explained',
    request: send('picture', 'image/png', PNG.bytes, { verb: 'explain' }),
    outputs: [tensor('y', [6, 0x89])],
    cannotCarry: { ...NO_BODIES, v1: 'v1 answers have no names: the other explanations have another one' },
  },
  {
    name: 'what the handler refuses',
    request: ask('refuses'),
    fails: ['invalid_request', /^Cannot read the image: expected PNG, got GIF$/],
  },
  { name: 'what the handler throws', request: ask('throws'), fails: ['handler_failed', /^Cannot run preprocess of model "throws"$/] },
  {
    name: 'a body that nobody accepts',
    request: send('picture', 'audio/wav', PNG.bytes),
    fails: ['unsupported_media_type', /audio\/wav/],
    cannotCarry: NO_BODIES,
  },
  {
    name: 'a body for a model without a handler for it',
    request: send('double', 'image/png', PNG.bytes),
    fails: ['unsupported_media_type', /image\/png/],
    cannotCarry: NO_BODIES,
  },
  {
    name: 'a body to the server’s explainer, which takes tensors',
    request: send('mirror', 'image/png', PNG.bytes, { verb: 'explain' }),
    fails: ['unsupported_media_type', /explainer takes tensors/],
    cannotCarry: NO_BODIES,
  },
  {
    name: 'an explanation by the server’s explainer of a handler that answers with bodies',
    request: ask('mirror', { verb: 'explain' }),
    fails: ['unimplemented', /expected tensors as its answer, got a body of "image\/png"/],
  },
  {
    name: 'a wrong shape, explained',
    request: ask('double', { verb: 'explain', inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], values: [1, 2, 3] }] }),
    fails: ['invalid_request', /"x".*\[-1,2\]/],
  },
];
