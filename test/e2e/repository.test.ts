import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor, type Inference, type InferenceClient } from '../../src/client/index.ts';
import { readMetrics } from '../support/metrics.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { modelDir } from '../support/vectors.ts';

const MODEL_FILE = join(modelDir('digits-mlp'), 'model.onnx');
const DIGIT: Inference = { inputs: [tensor('input', 'FP32', [1, 64], new Float32Array(64).fill(0.5))] };

/** As a careful operator does it: never half a file under the final name. */
function replaceFile(path: string, bytes: Uint8Array | string): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

describe.each(['inline', 'process'])('a model repository with --isolation=%s', (isolation) => {
  let repository: TemporaryRepository;
  let server: ServerProcess;
  let rest: InferenceClient;
  let grpc: InferenceClient;

  beforeAll(async () => {
    repository = createTemporaryRepository({ digits: 'models/digits-mlp', 'mö del%2F+': 'models/digits-mlp', ['__proto__']: 'models/digits-mlp' });
    mkdirSync(join(repository.dir, '.hidden'));
    cpSync(MODEL_FILE, join(repository.dir, '.hidden/model.onnx'));
    mkdirSync(join(repository.dir, 'versions/2'), { recursive: true });
    cpSync(MODEL_FILE, join(repository.dir, 'versions/2/model.onnx'));
    server = await startServerProcess([`--model_dir=${repository.dir}`, `--isolation=${isolation}`]);
    rest = connect(server.url, { retries: 0 });
    grpc = connect(`grpc://${server.grpcAddress}`, { retries: 0 });
  });
  afterAll(async () => {
    rest.close();
    grpc.close();
    expect(await server.stop()).toBe(0);
    repository.remove();
  });

  /** Name to `version state`. */
  const states = async (): Promise<Record<string, string>> =>
    Object.fromEntries((await grpc.index()).map(({ name, version, state }) => [name, `${version} ${state}`]));

  it('serves whatever its directories are called, and no hidden one', async () => {
    const names = ['digits', 'mö del%2F+', 'versions', '__proto__'];
    expect([...(await rest.models())].sort()).toEqual([...names].sort());
    for (const name of names) {
      expect((await rest.infer(name, DIGIT)).modelName).toBe(name);
      expect((await grpc.infer(name, DIGIT)).modelName).toBe(name);
    }
    await expect(rest.loadModel('.hidden')).rejects.toMatchObject({ reason: 'model_not_found' });
  });

  it('loses no request while models are loaded again under traffic, and counts each', async () => {
    const counted = async (protocol: string): Promise<number> =>
      (await readMetrics(server.url)).get(`kserve_node_requests_total{model="digits",version="1",protocol="${protocol}",reason="ok"}`) ?? 0;
    const before = [await counted('v2-rest'), await counted('v2-grpc')];
    const answered = [0, 0];
    const failures: unknown[] = [];
    let isOver = false;
    const loops = [0, 1, 0, 1].map(async (wire) => {
      while (!isOver) {
        try {
          await (wire === 0 ? rest : grpc).infer('digits', DIGIT);
          answered[wire] = (answered[wire] ?? 0) + 1;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    for (let i = 0; i < 6; i++) {
      const enough = answered.map((count) => count + 3);
      await (i % 2 === 0 ? rest : grpc).loadModel('digits');
      await until(() => answered.every((count, wire) => count >= (enough[wire] ?? 0)) || failures.length > 0);
    }
    isOver = true;
    await Promise.all(loops);
    expect(failures).toEqual([]);
    expect([await counted('v2-rest'), await counted('v2-grpc')]).toEqual(before.map((count, wire) => count + (answered[wire] ?? 0)));
  });

  it('lets one of several loads at once through and refuses the others as a conflict', async () => {
    const loads = await Promise.allSettled(Array.from({ length: 6 }, (_, i) => (i % 2 === 0 ? rest : grpc).loadModel('digits')));
    const reasons = loads.map((load) => (load.status === 'fulfilled' ? 'loaded' : (load.reason as { reason: string }).reason));
    expect(reasons).toContain('loaded');
    for (const reason of reasons) expect(['loaded', 'conflict']).toContain(reason);
    expect((await rest.infer('digits', DIGIT)).modelName).toBe('digits');
  });

  it('goes on serving the old model when its file is replaced by a broken one', async () => {
    const path = join(repository.dir, 'digits/model.onnx');
    const expected = (await rest.infer('digits', DIGIT)).output('probabilities', 'FP32');
    replaceFile(path, 'no model');
    const refusal = { message: expect.stringContaining(path) as string, reason: 'unavailable' };
    await expect(rest.loadModel('digits')).rejects.toMatchObject({ ...refusal, status: 503 });
    await expect(grpc.loadModel('digits')).rejects.toMatchObject({ ...refusal, grpcCode: 'UNAVAILABLE' });
    for (const client of [rest, grpc]) {
      expect((await client.infer('digits', DIGIT)).output('probabilities', 'FP32')).toEqual(expected);
      expect([await client.isReady(), await client.isModelReady('digits')]).toEqual([true, true]);
    }
    expect(await states()).toMatchObject({ digits: '1 READY' });
    replaceFile(path, readFileSync(MODEL_FILE));
    await rest.loadModel('digits');
    expect(await states()).toMatchObject({ digits: '1 READY' });
  });

  it('takes the newest version on the next load, and only then', async () => {
    mkdirSync(join(repository.dir, 'versions/10'));
    cpSync(MODEL_FILE, join(repository.dir, 'versions/10/model.onnx'));
    expect((await rest.infer('versions', DIGIT)).modelVersion).toBe('2');
    await expect(rest.infer('versions', { ...DIGIT, version: '10' })).rejects.toMatchObject({ reason: 'model_not_found' });
    await rest.loadModel('versions');
    expect((await grpc.infer('versions', { ...DIGIT, version: '10' })).modelVersion).toBe('10');
    await expect(grpc.infer('versions', { ...DIGIT, version: '2' })).rejects.toMatchObject({ reason: 'model_not_found' });
    expect(await states()).toMatchObject({ versions: '10 READY' });
  });

  it('unloads a model, which is then not found and not asked for again, and loads it back', async () => {
    await grpc.unloadModel('digits');
    expect(await states()).toMatchObject({ digits: '1 UNAVAILABLE', versions: expect.stringContaining('READY') as string });
    expect(await rest.models()).not.toContain('digits');
    for (const client of [rest, grpc]) {
      await expect(client.infer('digits', DIGIT)).rejects.toMatchObject({ reason: 'model_not_found', retryable: false });
      await expect(client.unloadModel('digits')).rejects.toMatchObject({ reason: 'model_not_found' });
      // Unloading on request is no fault of the server's.
      expect([await client.isReady(), await client.isModelReady('digits')]).toEqual([true, false]);
    }
    await rest.loadModel('digits');
    expect((await grpc.infer('digits', DIGIT)).modelName).toBe('digits');
    expect(await states()).toMatchObject({ digits: '1 READY' });
  });
});

describe('a model repository of which one model is broken', () => {
  it('starts, is not ready, says why in its index, serves the others, and is ready once the file is repaired and loaded', async () => {
    const repository = createTemporaryRepository({ digits: 'models/digits-mlp' });
    const broken = join(repository.dir, 'broken/model.onnx');
    mkdirSync(join(repository.dir, 'broken'));
    writeFileSync(broken, 'no model');
    const server = await startServerProcess([`--model_dir=${repository.dir}`, '--isolation=inline'], { isLoose: true });
    await server.waitFor(/"message":"Serving"/);
    const rest = connect(server.url, { retries: 0 });
    expect([await rest.isLive(), await rest.isReady(), await rest.isModelReady('digits'), await rest.isModelReady('broken')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect((await rest.infer('digits', DIGIT)).modelName).toBe('digits');
    await expect(rest.infer('broken', DIGIT)).rejects.toMatchObject({ reason: 'unavailable', status: 503 });
    expect((await rest.index()).find(({ name }) => name === 'broken')).toMatchObject({
      state: 'UNAVAILABLE',
      reason: expect.stringContaining(broken) as string,
    });
    // The file is at fault, not our code: one line that says so, without a stack.
    const [record] = await server.waitFor(/[^\n]*could not be loaded[^\n]*\n/);
    expect(record).toContain(broken);
    expect(record).not.toContain('stack');
    replaceFile(broken, readFileSync(MODEL_FILE));
    await rest.loadModel('broken');
    expect([await rest.isReady(), (await rest.infer('broken', DIGIT)).modelName]).toEqual([true, 'broken']);
    rest.close();
    expect(await server.stop()).toBe(0);
    repository.remove();
  });
});
