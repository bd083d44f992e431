import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, tensor, type Inference, type InferenceClient } from '../../src/client/index.ts';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const QUEUE_SIZE = 3;

const slow = (iterations: number): Inference => ({
  inputs: [tensor('x', 'FP32', [1, 8], new Float32Array(8).fill(1)), tensor('iterations', 'INT64', [], BigInt64Array.of(BigInt(iterations)))],
});
const DIGIT: Inference = { inputs: [tensor('input', 'FP32', [1, 64], new Float32Array(64).fill(0.5))] };

/** Hours of work; whoever sends it leaves when the test is over. */
const ENDLESS = slow(1_000_000_000);
const QUICK = slow(1);

const DEPTH = 'kserve_node_queue_depth{model="slow"}';
const IN_FLIGHT = 'kserve_node_requests_in_flight{model="slow"}';
const COMPUTED = 'kserve_node_batch_size_count{model="slow"}';
const cancelled = 'kserve_node_rejected_total{model="slow",reason="cancelled"}';

describe.each(['inline', 'process'])('a model whose only instance is busy, with --isolation=%s', (isolation) => {
  let repository: TemporaryRepository;
  let server: ServerProcess;
  let rest: InferenceClient;
  let grpc: InferenceClient;
  let occupant: AbortController;
  let occupied: Promise<unknown>;

  beforeAll(async () => {
    repository = createTemporaryRepository({ slow: 'models/slow-chain', digits: 'models/digits-mlp' });
    server = await startServerProcess([
      `--model_dir=${repository.dir}`,
      `--isolation=${isolation}`,
      '--instances=1',
      `--max_queue_size=${String(QUEUE_SIZE)}`,
    ]);
    rest = connect(server.url, { retries: 0 });
    grpc = connect(`grpc://${server.grpcAddress}`, { retries: 0 });
  });
  afterAll(async () => {
    rest.close();
    grpc.close();
    expect(await server.stop()).toBe(0);
    repository.remove();
  });

  beforeEach(async () => {
    occupant = new AbortController();
    occupied = rest.infer('slow', ENDLESS, { signal: occupant.signal }).catch((error: unknown) => error);
    await untilMetric(server.url, IN_FLIGHT, 1);
  });
  afterEach(async () => {
    occupant.abort();
    await occupied;
    await untilMetric(server.url, IN_FLIGHT, 0);
  });

  it('takes as many more as its queue holds, refuses the rest over REST and gRPC, and answers all it took', async () => {
    const waiting = Array.from({ length: QUEUE_SIZE }, (_, i) => (i % 2 === 0 ? rest : grpc).infer('slow', QUICK));
    await untilMetric(server.url, DEPTH, QUEUE_SIZE);

    const error = {
      reason: 'overloaded',
      retryable: true,
      retryAfterMs: 1000,
      message: expect.stringContaining('queue is full (3 requests)') as string,
    };
    await expect(rest.infer('slow', QUICK)).rejects.toMatchObject({ ...error, status: 429 });
    await expect(grpc.infer('slow', QUICK)).rejects.toMatchObject({ ...error, grpcCode: 'RESOURCE_EXHAUSTED' });
    const row = { inputs: { x: [[1, 1, 1, 1, 1, 1, 1, 1]], iterations: 1 } };
    const v1 = await fetch(`${server.url}/v1/models/slow:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(row),
    });
    expect([v1.status, v1.headers.get('retry-after')]).toEqual([429, '1']);

    // Another model has a queue of its own.
    const others = await Promise.all([rest.infer('digits', DIGIT), grpc.infer('digits', DIGIT)]);
    expect(others.map(({ modelName }) => modelName)).toEqual(['digits', 'digits']);

    occupant.abort();
    const answers = await Promise.all(waiting);
    for (const answer of answers) expect(answer.output('y', 'FP32')).toHaveLength(8);
  });

  it('lets requests expire in the queue by each kind of timeout, without touching the model', async () => {
    const computed = (await readMetrics(server.url)).get(COMPUTED);
    const late = { reason: 'deadline_exceeded', message: expect.stringContaining('while it waited for the model') as string };
    const soon = { ...QUICK, parameters: { timeout: 50_000 } };
    await Promise.all([
      expect(rest.infer('slow', soon)).rejects.toMatchObject({ ...late, status: 504 }),
      expect(grpc.infer('slow', soon)).rejects.toMatchObject({ ...late, grpcCode: 'DEADLINE_EXCEEDED' }),
      expect(rest.infer('slow', QUICK, { headers: { 'x-request-timeout-ms': '50' } })).rejects.toMatchObject({ ...late, status: 504 }),
    ]);
    await expect(grpc.infer('slow', QUICK, { timeoutMs: 100 })).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    await untilMetric(server.url, DEPTH, 0);
    expect((await readMetrics(server.url)).get(COMPUTED)).toBe(computed);
    expect((await rest.infer('digits', DIGIT)).modelName).toBe('digits');
  });

  it('never computes what its clients left in the queue', async () => {
    const before = await readMetrics(server.url);
    const leaving = new AbortController();
    const { signal } = leaving;
    const left = Promise.allSettled([rest.infer('slow', ENDLESS, { signal }), grpc.infer('slow', ENDLESS, { signal })]);
    await untilMetric(server.url, DEPTH, 2);
    const stays = grpc.infer('slow', QUICK);
    await untilMetric(server.url, DEPTH, 3);
    leaving.abort();
    expect((await left).map((result) => result.status === 'rejected' && (result.reason as { reason: string }).reason)).toEqual([
      'cancelled',
      'cancelled',
    ]);
    await untilMetric(server.url, DEPTH, 1);

    occupant.abort();
    expect((await stays).output('y', 'FP32')).toHaveLength(8);
    const after = await readMetrics(server.url);
    expect((after.get(COMPUTED) ?? 0) - (before.get(COMPUTED) ?? 0)).toBe(1);
    expect((after.get(cancelled) ?? 0) - (before.get(cancelled) ?? 0)).toBe(3);
  });

  it('reads on after a client that left in the middle of its body', async () => {
    const call = request(`${server.url}/v2/models/slow/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '1000' },
    });
    const failed = new Promise((resolve) => call.once('error', resolve));
    await new Promise<void>((resolve) => {
      call.write('{"inputs":[', () => {
        resolve();
      });
    });
    call.destroy(new Error('gone'));
    await failed;
    expect((await rest.infer('digits', DIGIT)).modelName).toBe('digits');
    expect((await readMetrics(server.url)).get(IN_FLIGHT)).toBe(1);
  });
});
