import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor, type Inference, type InferenceClient } from '../../src/client/index.ts';
import { readMetrics } from '../support/metrics.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { modelDir } from '../support/vectors.ts';

const REQUESTS = 160;

/** Token ids that no other request has, of few different lengths, in one row or two. */
function inferenceOf(request: number): Inference {
  const rows = 1 + (request % 7 === 0 ? 1 : 0);
  const length = 4 + (request % 3);
  const count = rows * length;
  const ids = BigInt64Array.from({ length: count }, (_, i) => BigInt((request * 13 + i * 5) % 90));
  return {
    inputs: [
      tensor('input_ids', 'INT64', [rows, length], ids),
      tensor(
        'attention_mask',
        'INT64',
        [rows, length],
        BigInt64Array.from({ length: count }, () => 1n),
      ),
    ],
  };
}

async function predictV1(url: string, request: number): Promise<number[]> {
  const { inputs } = inferenceOf(request);
  const [rows = 0, length = 0] = inputs[0]!.shape;
  const row = (name: number, index: number): number[] =>
    Array.from((inputs[name]!.data as BigInt64Array).subarray(index * length, (index + 1) * length), Number);
  const instances = Array.from({ length: rows }, (_, i) => ({ input_ids: row(0, i), attention_mask: row(1, i) }));
  const reply = await fetch(`${url}/v1/models/bert:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances }),
  });
  if (!reply.ok) throw new Error(`${String(reply.status)}: ${await reply.text()}`);
  const { predictions } = (await reply.json()) as { predictions: { logits: number[] }[] };
  return predictions.flatMap(({ logits }) => logits);
}

describe.each(['inline', 'process'])('requests that wait for the only instance, with --isolation=%s', (isolation) => {
  let server: ServerProcess;
  let clients: InferenceClient[];

  beforeAll(async () => {
    server = await startServerProcess([
      `--model_dir=${modelDir('bert-tiny')}`,
      '--model_name=bert',
      `--isolation=${isolation}`,
      '--instances=1',
      '--enable_latency_logging=false',
    ]);
    clients = [
      connect(server.url, { retries: 0, binary: false }),
      connect(server.url, { retries: 0 }),
      connect(`grpc://${server.grpcAddress}`, { retries: 0 }),
    ];
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    expect(await server.stop()).toBe(0);
  });

  const ask = async (request: number, way: number): Promise<number[]> => {
    const client = clients[way];
    return client === undefined
      ? await predictV1(server.url, request)
      : [...(await client.infer('bert', inferenceOf(request))).output('logits', 'FP32')];
  };

  it('share runs, and get over every protocol what they get alone', async () => {
    const alone: number[][] = [];
    for (let request = 0; request < REQUESTS; request++) alone.push(await ask(request, 1));
    await server.waitFor(/Batching is on/);
    const before = await readMetrics(server.url);
    const together = await Promise.all(alone.map((_, request) => ask(request, request % 4)));
    const after = await readMetrics(server.url);
    together.forEach((logits, request) => {
      const expected = alone[request]!;
      expect(logits).toHaveLength(expected.length);
      logits.forEach((value, i) => {
        expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6 * Math.max(1, ...expected.map(Math.abs)));
      });
    });
    const added = (sample: string): number => (after.get(`${sample}{model="bert"}`) ?? 0) - (before.get(`${sample}{model="bert"}`) ?? 0);
    expect(added('kserve_node_batch_size_sum')).toBe(REQUESTS);
    expect(added('kserve_node_batch_size_count')).toBeLessThan(REQUESTS / 2);
  });

  it.runIf(isolation === 'process')('share runs again when a lost process has been replaced', async () => {
    const { pid } = server;
    const [child] = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').split(' ');
    process.kill(Number(child), 'SIGKILL');
    await server.waitFor(/A model process is back/);
    // The new one finds out for itself, and its next answer says so.
    for (let request = 0; request < 3; request++) await ask(request, 1);
    await server.waitFor(/A model process is back[^]*Batching is on/);
    await ask(0, 1);
    const before = await readMetrics(server.url);
    await Promise.all(Array.from({ length: REQUESTS }, (_, request) => ask(request, request % 4)));
    const after = await readMetrics(server.url);
    const name = 'kserve_node_batch_size_count{model="bert"}';
    expect((after.get(name) ?? 0) - (before.get(name) ?? 0)).toBeLessThan(REQUESTS / 2);
  });
});
