import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor, type InferenceClient, type InferenceError } from '../../src/client/index.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { expectAllClose, readVectors } from '../support/vectors.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODELS = { digits: 'models/digits-mlp', datatypes: 'models/datatypes', 'slow-chain': 'models/slow-chain' };

let repository: TemporaryRepository;
let server: ServerProcess;

beforeAll(async () => {
  repository = createTemporaryRepository(MODELS);
  server = await startServerProcess([`--model_dir=${repository.dir}`]);
});
afterAll(async () => {
  await server.stop();
  repository.remove();
});

async function failureOf(call: Promise<unknown>): Promise<InferenceError> {
  return call.then(
    () => {
      throw new Error('expected a failure');
    },
    (thrown: unknown) => thrown as InferenceError,
  );
}

/** Computes for many seconds. */
const ENDLESS = { inputs: [tensor('x', 'FP32', [1, 8], new Float32Array(8)), tensor('iterations', 'INT64', [], [100_000_000n])] };

describe.each([
  { name: 'REST, binary', isGrpc: false, binary: true },
  { name: 'REST, JSON', isGrpc: false, binary: false },
  { name: 'gRPC, raw', isGrpc: true, binary: true },
  { name: 'gRPC, typed', isGrpc: true, binary: false },
])('the client over $name against the built server', ({ isGrpc, binary }) => {
  let client: InferenceClient;

  beforeAll(() => {
    client = connect(isGrpc ? `grpc://${server.grpcAddress}` : server.url, { binary });
  });
  afterEach(async () => {
    expect(await client.isReady()).toBe(true);
  });
  afterAll(() => {
    client.close();
  });

  it.each(['datatypes', 'digits'] as const)('gives the reference answers of %s', async (model) => {
    for (const { inputs, outputs } of readVectors(MODELS[model].replace('models/', ''))) {
      const hasNaN = inputs.some(({ data }) => data instanceof Float32Array && data.some(Number.isNaN));
      const response = await client.infer(model, { inputs, id: 'one' });
      expect(response.id).toBe('one');
      // JSON has no NaN: it comes back as the server documents it, not as the number.
      if (binary || isGrpc || !hasNaN) expectAllClose(response.outputs, outputs);
    }
  });

  it('knows the server and its models', async () => {
    expect([await client.isLive(), await client.isReady(), await client.isModelReady('digits')]).toEqual([true, true, true]);
    expect((await client.serverMetadata()).extensions).toContain('model_repository_extension');
    expect(await client.modelMetadata('digits')).toMatchObject({
      name: 'digits',
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 64] }],
    });
    expect([...(await client.models())].sort()).toEqual(Object.keys(MODELS).sort());
    expect((await client.index()).map(({ name, state }) => `${name} ${state}`).sort()).toEqual(
      Object.keys(MODELS)
        .map((name) => `${name} READY`)
        .sort(),
    );
  });

  it('unloads and loads a model', async () => {
    await client.unloadModel('datatypes');
    expect(['model_not_found', 'unavailable']).toContain((await failureOf(client.infer('datatypes', { inputs: [] }, { timeoutMs: 2000 }))).reason);
    await client.loadModel('datatypes');
    expect(await client.isModelReady('datatypes')).toBe(true);
  });

  it("tells of unknown models and wrong inputs in the server's words", async () => {
    expect(await failureOf(client.infer('nobody', ENDLESS))).toMatchObject({
      reason: 'model_not_found',
      message: 'Model with name nobody does not exist.',
    });
    const wrong = await failureOf(client.infer('digits', { inputs: [tensor('input', 'INT32', [1, 64], new Int32Array(64))] }));
    expect(wrong.reason).toBe('invalid_request');
    expect(wrong.message).toContain('"input"');
  });

  it('stops waiting at its timeout, and when the caller leaves', async () => {
    expect(await failureOf(client.infer('slow-chain', ENDLESS, { timeoutMs: 200 }))).toMatchObject({ reason: 'deadline_exceeded' });
    const caller = new AbortController();
    const failure = failureOf(client.infer('slow-chain', ENDLESS, { signal: caller.signal }));
    caller.abort();
    expect(await failure).toMatchObject({ reason: 'cancelled' });
  });
});

describe('examples/digits', () => {
  it.each(['REST', 'gRPC'])('its client shows 18 of 20 right over %s', (transport) => {
    const url = transport === 'REST' ? server.url : `grpc://${server.grpcAddress}`;
    const run = spawnSync(process.execPath, ['--import', 'tsx', 'examples/digits/client.ts', url], { cwd: ROOT, encoding: 'utf8' });
    expect(run.stderr).toBe('');
    expect(run.stdout).toContain('accuracy: 18 of 20 (90 %)');
  });
});
