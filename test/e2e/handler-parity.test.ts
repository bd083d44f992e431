import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorReason } from '../../src/core/errors.ts';
import type { Signature } from '../../src/core/metadata.ts';
import { grpcWire } from '../contract/protocol/grpc-wires.ts';
import { v1Wire, v2BinaryWire, v2JsonWire } from '../contract/protocol/rest-wires.ts';
import type { Outcome, PlainRequest, PlainTensor, Value, Wire } from '../contract/protocol/wire.ts';
import { createHandlerRepository, type HandlerRepository } from '../support/handler-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

/** Around a model, with every kind of data: bytes in, numbers, 64-bit integers and texts out. */
const HANDLER = `
import { defineHandler, InvalidRequest, tensor } from 'kserve-node';

const answer = (response) => {
  const labels = response.output('label', 'INT64');
  const probabilities = response.output('probabilities', 'FP32');
  const rows = labels.length;
  return [
    tensor('says', 'BYTES', [rows], Array.from(labels, (label) => 'It is a ' + label + ', señor')),
    tensor('big', 'INT64', [rows], labels.map((label) => label + 9007199254740993n)),
    tensor('sure', 'FP32', [rows, 10], probabilities),
  ];
};

export default defineHandler({
  inputs: [{ name: 'scan', datatype: 'UINT8', shape: [-1, 64] }],
  outputs: [
    { name: 'says', datatype: 'BYTES', shape: [-1] },
    { name: 'big', datatype: 'INT64', shape: [-1] },
    { name: 'sure', datatype: 'FP32', shape: [-1, 10] },
  ],
  preprocess(request, ctx) {
    const scan = request.input('scan', 'UINT8');
    if (scan[0] === 17) throw new InvalidRequest('Cannot use input "scan": expected values from 0 to 16');
    if (scan[0] === 18) throw new Error('the scanner is on fire');
    ctx.responseHeaders['x-tenant-seen'] = ctx.headers['x-tenant'] ?? 'none';
    ctx.responseHeaders['x-verb'] = ctx.verb;
    return [tensor('input', 'FP32', [scan.length / 64, 64], Float32Array.from(scan, (value) => value / 16))];
  },
  postprocess: answer,
  async explain(request, predict) {
    const response = await predict(request);
    return response.outputs;
  },
});
`;

const OUTPUTS: Signature['outputs'] = [
  { name: 'says', datatype: 'BYTES', shape: [-1] },
  { name: 'big', datatype: 'INT64', shape: [-1] },
  { name: 'sure', datatype: 'FP32', shape: [-1, 10] },
];

const vector = readVectors('digits-mlp').find(({ inputs }) => (inputs[0]?.shape[0] ?? 0) > 1)!;
const SCAN: readonly number[] = Array.from(vector.inputs[0]!.data as Float32Array, (value) => value * 16);
const LABELS = Array.from(vector.outputs.find(({ name }) => name === 'label')!.data as BigInt64Array);
const SURE = Array.from(vector.outputs.find(({ name }) => name === 'probabilities')!.data as Float32Array);
const ROWS = LABELS.length;

let repository: HandlerRepository;
let server: ServerProcess;
let wires: ReadonlyMap<string, Wire>;
beforeAll(async () => {
  repository = createHandlerRepository({
    'digits/handler.mjs': HANDLER,
    'digits/model.onnx': readFileSync(join(modelDir('digits-mlp'), 'model.onnx')),
  });
  server = await startServerProcess([`--model_dir=${repository.dir}`, '--enable_model_handlers=true']);
  const signature: Signature = { inputs: [], outputs: OUTPUTS };
  const made = [
    v1Wire(server.url, () => signature),
    v2JsonWire(server.url),
    v2BinaryWire(server.url),
    grpcWire(server.grpcAddress, 'typed'),
    grpcWire(server.grpcAddress, 'raw'),
  ];
  wires = new Map(made.map((wire) => [wire.name, wire]));
});
afterAll(async () => {
  for (const wire of wires.values()) wire.close();
  expect(await server.stop()).toBe(0);
  repository.remove();
});

const ask = (scan: readonly number[], rest: Partial<PlainRequest> = {}): PlainRequest => ({
  model: 'digits',
  headers: { 'x-tenant': 'blue' },
  inputs: [{ name: 'scan', datatype: 'UINT8', shape: [scan.length / 64, 64], values: scan }],
  ...rest,
});

/** Texts as text, numbers as 32-bit floats. */
function plain({ name, datatype, shape, values }: PlainTensor): PlainTensor {
  const read = (value: Value): Value => {
    if (value instanceof Uint8Array) return Buffer.from(value).toString();
    return typeof value === 'number' ? Math.fround(value) : value;
  };
  return { name, datatype, shape, values: values.map(read) };
}

function answerOf(outcome: Outcome): Extract<Outcome, { ok: true }>['response'] {
  if (!outcome.ok) throw new Error(`${outcome.status}: ${outcome.message}`);
  return { ...outcome.response, outputs: outcome.response.outputs.map(plain) };
}

/** To say the same thing, bit by bit, as what the first protocol said. */
let first: readonly PlainTensor[] | undefined;

describe.each(['v1', 'v2 JSON', 'v2 binary', 'gRPC typed', 'gRPC raw'])('a handler in a process of its own over %s', (name) => {
  const wire = (): Wire => wires.get(name)!;

  it.each(['infer', 'explain'] as const)('answers %s as over every other protocol, with headers in and out', async (verb) => {
    const { outputs, headers } = answerOf(await wire().infer(ask(SCAN, verb === 'explain' ? { verb } : {})));
    expect(headers).toMatchObject({ 'x-tenant-seen': 'blue', 'x-verb': verb });
    expect(outputs[0]).toEqual({ name: 'says', datatype: 'BYTES', shape: [ROWS], values: LABELS.map((label) => `It is a ${label}, señor`) });
    expect(outputs[1]).toEqual({ name: 'big', datatype: 'INT64', shape: [ROWS], values: LABELS.map((label) => label + 9_007_199_254_740_993n) });
    expect(outputs[2]).toMatchObject({ name: 'sure', datatype: 'FP32', shape: [ROWS, 10] });
    SURE.forEach((sure, i) => {
      expect(outputs[2]?.values[i]).toBeCloseTo(sure, 5);
    });
    first ??= outputs;
    expect(outputs).toEqual(first);
  });

  it.each<readonly [number, ErrorReason, string]>([
    [17, 'invalid_request', 'Cannot use input "scan": expected values from 0 to 16'],
    [18, 'handler_failed', 'Handler handler.mjs failed in preprocess: Error: the scanner is on fire'],
  ])('fails scan value %i as %s with the same words', async (value, reason, message) => {
    const outcome = await wire().infer(ask(SCAN.slice(0, 64).with(0, value)));
    expect(outcome).toEqual({ ok: false, status: wire().statusOf(reason), message });
  });

  it('refuses what the handler does not declare before it comes to it', async () => {
    const outcome = await wire().infer(
      ask(SCAN.slice(0, 63), { inputs: [{ name: 'scan', datatype: 'UINT8', shape: [1, 63], values: SCAN.slice(0, 63) }] }),
    );
    expect(outcome).toMatchObject({ ok: false, status: wire().statusOf('invalid_request'), message: expect.stringContaining('"scan"') as string });
  });
});
