import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, InferenceError, tensor, type Inference, type InferenceClient } from '../../src/client/index.ts';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

interface Duration {
  readonly count: number;
  readonly ns: number;
}

interface Statistics {
  readonly inference_count: number;
  readonly execution_count: number;
  readonly last_inference: number;
  readonly inference_stats: Readonly<Record<'success' | 'fail' | 'queue' | 'compute_infer' | 'cache_hit' | 'cache_miss', Duration>>;
  readonly batch_stats: readonly { readonly batch_size: number; readonly compute_infer: Duration }[];
}

/** What the clients have seen of one model. */
class Tally {
  readonly byReason = new Map<string, number>();
  rows = 0;

  get failed(): number {
    return [...this.byReason].reduce((sum, [reason, count]) => (reason === 'ok' ? sum : sum + count), 0);
  }

  /** `rows` that the model computes when all is well. */
  async note(asked: Promise<unknown>, rows: number): Promise<void> {
    const reason = await asked.then(
      () => 'ok',
      (error: unknown) => (error instanceof InferenceError ? error.reason : 'cancelled'),
    );
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1);
    if (reason === 'ok') this.rows += rows;
  }
}

let seed = 0;
/** Rows that nobody has sent before. */
const digits = (rows: number): Inference => {
  seed++;
  return {
    inputs: [
      tensor(
        'input',
        'FP32',
        [rows, 64],
        Float32Array.from({ length: rows * 64 }, (_, i) => (seed * 1000 + i) % 4096),
      ),
    ],
  };
};
const slow = (iterations: number): Inference => ({
  inputs: [tensor('x', 'FP32', [1, 8], new Float32Array(8).fill(++seed)), tensor('iterations', 'INT64', [], BigInt64Array.of(BigInt(iterations)))],
});

describe.each(['inline', 'process'])('statistics and metrics, with --isolation=%s', (isolation) => {
  let repository: TemporaryRepository;
  let server: ServerProcess;
  let rest: InferenceClient;
  let grpc: InferenceClient;
  const tallies = { digits: new Tally(), slow: new Tally() };
  let hits = 0;

  beforeAll(async () => {
    repository = createTemporaryRepository({ digits: 'models/digits-mlp', slow: 'models/slow-chain' });
    const args = [`--model_dir=${repository.dir}`, `--isolation=${isolation}`, '--instances=1', '--max_queue_size=2', '--warmup=2'];
    server = await startServerProcess([...args, '--response_cache_bytes=1MiB', '--enable_latency_logging=false']);
    rest = connect(server.url, { retries: 0 });
    grpc = connect(`grpc://${server.grpcAddress}`, { retries: 0 });
  });
  afterAll(async () => {
    rest.close();
    grpc.close();
    expect(await server.stop()).toBe(0);
    repository.remove();
  });

  async function statisticsOf(model: string): Promise<Statistics> {
    const { model_stats } = (await (await fetch(`${server.url}/v2/models/${model}/stats`)).json()) as { model_stats: readonly Statistics[] };
    return model_stats[0]!;
  }

  it('show nothing of the warm-up', async () => {
    expect(await statisticsOf('digits')).toMatchObject({
      inference_count: 0,
      execution_count: 0,
      batch_stats: [],
      inference_stats: { queue: { count: 0 } },
    });
    const metrics = await readMetrics(server.url);
    expect([...metrics.keys()].filter((name) => name.startsWith('kserve_node_requests_total'))).toEqual([]);
    expect(metrics.get('kserve_node_batch_size_count{model="digits"}') ?? 0).toBe(0);
    await server.waitFor(/Model warmed up/);
  });

  it('agree with the answers that clients of every protocol have got', async () => {
    const tally = tallies.digits;
    for (const client of [rest, grpc]) for (const rows of [1, 2, 3, 2]) await tally.note(client.infer('digits', digits(rows)), rows);
    const instances = [Array.from({ length: 64 }, (_, i) => i / 64)];
    const v1 = await fetch(`${server.url}/v1/models/digits:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instances }),
    });
    expect(v1.status).toBe(200);
    await tally.note(Promise.resolve(), 1);
    // The model never sees the third and the fourth.
    const same = digits(4);
    for (const client of [rest, grpc, rest]) await client.infer('digits', same);
    await tally.note(Promise.resolve(), 4);
    await tally.note(Promise.resolve(), 0);
    await tally.note(Promise.resolve(), 0);
    hits = 2;
  });

  it('agree with the refusals that clients of every protocol have got', async () => {
    const wrong: Inference = { inputs: [tensor('input', 'FP32', [1, 63], new Float32Array(63))] };
    for (const client of [rest, grpc, grpc]) await tallies.digits.note(client.infer('digits', wrong), 1);
    expect(tallies.digits.byReason).toEqual(
      new Map([
        ['ok', 12],
        ['invalid_request', 3],
      ]),
    );
  });

  it('agree with cancelled, expired and rejected requests', async () => {
    const tally = tallies.slow;
    const inFlight = 'kserve_node_requests_in_flight{model="slow"}';
    const [leavingFirst, leaving] = [new AbortController(), new AbortController()];
    const occupant = tally.note(rest.infer('slow', slow(1_000_000_000), { signal: leaving.signal }), 1);
    await untilMetric(server.url, 'kserve_node_batch_size_count{model="slow"}', 1);
    await tally.note(grpc.infer('slow', { ...slow(1), parameters: { timeout: 50_000 } }), 1);
    const waiting = [rest, grpc].map((client) => tally.note(client.infer('slow', slow(1), { signal: leavingFirst.signal }), 1));
    await untilMetric(server.url, inFlight, 3);
    for (const client of [rest, grpc]) await tally.note(client.infer('slow', slow(1)), 1);
    // What waits must be gone before there is a slot for it.
    leavingFirst.abort();
    await untilMetric(server.url, inFlight, 1);
    leaving.abort();
    await Promise.all([occupant, ...waiting]);
    await untilMetric(server.url, inFlight, 0);
    for (const client of [rest, grpc]) await tally.note(client.infer('slow', slow(3)), 1);
    expect(Object.fromEntries(tally.byReason)).toEqual({ ok: 2, overloaded: 2, deadline_exceeded: 1, cancelled: 3 });
  });

  it.each(['digits', 'slow'] as const)('say of %s what its clients say', async (model) => {
    const tally = tallies[model];
    const ok = tally.byReason.get('ok')!;
    const { inference_count, execution_count, inference_stats, batch_stats, last_inference } = await statisticsOf(model);
    const metrics = await readMetrics(server.url);
    expect(inference_stats.success.count).toBe(ok);
    expect(inference_stats.fail.count).toBe(tally.failed);
    expect(inference_stats.cache_hit.count).toBe(model === 'digits' ? hits : 0);
    // What is refused before it is looked up is neither.
    expect(inference_stats.cache_hit.count + inference_stats.cache_miss.count).toBe(ok + tally.failed - (tally.byReason.get('invalid_request') ?? 0));
    expect(inference_count).toBe(tally.rows);
    expect(execution_count).toBe(ok - inference_stats.cache_hit.count);
    expect(inference_stats.compute_infer.count).toBe(execution_count);
    expect(inference_stats.compute_infer.ns).toBeGreaterThan(0);
    expect(inference_stats.success.ns).toBeGreaterThanOrEqual(inference_stats.compute_infer.ns);
    expect(batch_stats.reduce((sum, { batch_size, compute_infer }) => sum + batch_size * compute_infer.count, 0)).toBe(inference_count);
    expect(Math.abs(Date.now() - last_inference)).toBeLessThan(300_000);

    const counted = new Map<string, number>();
    for (const [sample, value] of metrics) {
      const [, found, reason = ''] = /^kserve_node_requests_total\{model="(\w+)",.*reason="(\w+)"\}$/.exec(sample) ?? [];
      if (found === model) counted.set(reason, (counted.get(reason) ?? 0) + value);
    }
    expect(counted).toEqual(tally.byReason);
    expect(metrics.get(`kserve_node_execution_rows_sum{model="${model}"}`)).toBe(inference_count);
    expect(metrics.get(`kserve_node_execution_rows_count{model="${model}"}`)).toBe(execution_count);
    expect(metrics.get(`kserve_node_response_cache_lookups_total{model="${model}",result="hit"}`) ?? 0).toBe(inference_stats.cache_hit.count);
    expect(metrics.get(`kserve_node_response_cache_lookups_total{model="${model}",result="miss"}`)).toBe(inference_stats.cache_miss.count);
  });

  it('show that answers of a model are let go with it, at a reload and when it is unloaded', async () => {
    const bytes = async (): Promise<number> => (await readMetrics(server.url)).get('kserve_node_response_cache_bytes{model="digits"}')!;
    for (const verb of ['load', 'unload']) {
      await rest.infer('digits', digits(1));
      expect(await bytes()).toBeGreaterThan(0);
      expect((await fetch(`${server.url}/v2/repository/models/digits/${verb}`, { method: 'POST' })).status).toBe(200);
      expect(await bytes()).toBe(0);
    }
    expect((await fetch(`${server.url}/v2/repository/models/digits/load`, { method: 'POST' })).status).toBe(200);
  });

  it('are those of every model under one address, and 404 for a model that nobody knows', async () => {
    const { model_stats } = (await (await fetch(`${server.url}/v2/models/stats`)).json()) as { model_stats: readonly { readonly name: string }[] };
    expect(model_stats.map(({ name }) => name)).toEqual(['digits', 'slow']);
    expect((await fetch(`${server.url}/v2/models/nobody/stats`)).status).toBe(404);
    expect((await fetch(`${server.url}/v2/models/digits/versions/9/stats`)).status).toBe(404);
  });
});
