import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type InferenceClient } from '../../src/client/index.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { expectAllClose, listOnnxModels, readVectors, type VectorCase } from '../support/vectors.ts';

const MODELS = listOnnxModels();

let repository: TemporaryRepository;
let server: ServerProcess;
const clients = new Map<string, InferenceClient>();

beforeAll(async () => {
  repository = createTemporaryRepository(Object.fromEntries(MODELS.map((name) => [name, `models/${name}`])));
  server = await startServerProcess([`--model_dir=${repository.dir}`, '--isolation=inline']);
  clients.set('v2 JSON', connect(server.url, { binary: false }));
  clients.set('v2 binary', connect(server.url, { binary: true }));
  clients.set('gRPC typed', connect(`grpc://${server.grpcAddress}`, { binary: false }));
  clients.set('gRPC raw', connect(`grpc://${server.grpcAddress}`, { binary: true }));
}, 120_000);

afterAll(async () => {
  for (const client of clients.values()) client.close();
  expect(await server.stop()).toBe(0);
  repository.remove();
});

/** gRPC's typed contents have no field for 16-bit floats (OIP, InferTensorContents): such inputs go raw. */
const isTypedImpossible = (vector: VectorCase): boolean => vector.inputs.some(({ datatype }) => datatype === 'FP16' || datatype === 'BF16');

/** A rank-0 NaN payload aside, JSON carries every datatype; BYTES only as text, which the golden strings are. */
describe.each(['v2 JSON', 'v2 binary', 'gRPC typed', 'gRPC raw'])('%s', (wire) => {
  it.each(MODELS)('answers the reference vectors of %s', async (model) => {
    const client = clients.get(wire)!;
    let played = 0;
    for (const vector of readVectors(model)) {
      if (wire === 'gRPC typed' && isTypedImpossible(vector)) continue;
      const outputs = vector.outputs.map(({ name }) => name);
      const response = await client.infer(model, { inputs: vector.inputs, outputs });
      expectAllClose(response.outputs, vector.outputs);
      played++;
    }
    if (wire !== 'gRPC typed') expect(played).toBe(readVectors(model).length);
  });
});

describe('the twenty test images of digits', () => {
  it.each(['v2 JSON', 'v2 binary', 'gRPC typed', 'gRPC raw'])(
    'get their reference probabilities within 1e-5 through %s, one by one',
    async (wire) => {
      const client = clients.get(wire)!;
      const batch = readVectors('digits-mlp').find(({ name }) => name === 'batch-20')!;
      const pixels = batch.inputs[0]!.data as Float32Array;
      const want = batch.outputs.find(({ name }) => name === 'probabilities')!.data as Float32Array;
      const labels = batch.outputs.find(({ name }) => name === 'label')!.data as BigInt64Array;
      let correct = 0;
      for (let i = 0; i < 20; i++) {
        const image = { ...batch.inputs[0]!, shape: [1, 64], data: pixels.slice(i * 64, (i + 1) * 64) };
        const response = await client.infer('digits-mlp', { inputs: [image] });
        response.numbers('probabilities').forEach((value, k) => {
          expect(Math.abs(value - want[i * 10 + k]!)).toBeLessThanOrEqual(1e-5);
        });
        const label = Number(response.output('label', 'INT64')[0]);
        expect(label).toBe(Number(labels[i]));
        if (label === batch.trueLabels![i]) correct++;
      }
      expect(correct).toBe(18);
    },
  );
});
