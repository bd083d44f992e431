import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { createTemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

let server: ServerProcess | undefined;
afterEach(() => {
  server?.process.kill('SIGKILL');
});

const vector = readVectors('digits-mlp').find(({ name }) => name === 'one')!;
const BODY = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: Array.from(vector.inputs[0]!.data as Float32Array) }],
});

/** Processes started by `pid`. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

describe('kill -9 of a model process under load', () => {
  it('fails only requests in flight with 503 and Retry-After, and is back within 2 s', async () => {
    server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--model_name=digits', '--isolation=process']);
    const { url, pid } = server;
    const [child] = childrenOf(pid);
    expect(child).toBeDefined();
    let isOver = false;
    let answered = 0;
    let answeredAfter = 0;
    let killedAt = Infinity;
    let backAfterMs = Infinity;
    const lost: { status: number; retryAfter: string | null }[] = [];
    const loops = Array.from({ length: 16 }, async () => {
      while (!isOver) {
        const began = performance.now();
        const reply = await fetch(`${url}/v2/models/digits/infer`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: BODY });
        await reply.arrayBuffer();
        if (reply.status !== 200) lost.push({ status: reply.status, retryAfter: reply.headers.get('retry-after') });
        else answered++;
        if (reply.status === 200 && began > killedAt) {
          answeredAfter++;
          backAfterMs = Math.min(backAfterMs, performance.now() - killedAt);
        }
      }
    });
    await until(() => answered >= 300);
    process.kill(child!, 'SIGKILL');
    killedAt = performance.now();
    await until(() => answeredAfter >= 300);
    isOver = true;
    await Promise.all(loops);
    expect(answeredAfter).toBeGreaterThanOrEqual(300);
    expect(backAfterMs).toBeLessThan(2000);
    for (const { status, retryAfter } of lost) expect([status, retryAfter]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    // At most what its capacity had in flight; the queue waited for the new process.
    expect(lost.length).toBeLessThanOrEqual(16);
    expect(childrenOf(pid)).not.toContain(child);
    expect(await server.stop()).toBe(0);
  });

  it('takes no other model with it', async () => {
    const repository = createTemporaryRepository({ digits: 'models/digits-mlp', vae: 'models/vae-digits' });
    server = await startServerProcess([`--model_dir=${repository.dir}`]);
    const client = connect(server.url, { retries: 0 });
    const latent = readVectors('vae-digits')[0]!;
    const children = childrenOf(server.pid);
    expect(children).toHaveLength(2);
    const statuses = new Map<number, string>();
    for (const child of children) {
      process.kill(child, 'SIGKILL');
      const results = await Promise.allSettled([client.infer('digits', { inputs: vector.inputs }), client.infer('vae', { inputs: latent.inputs })]);
      statuses.set(child, results.map(({ status }) => status).join());
    }
    // Whichever child was killed, the model in the other one answered.
    for (const status of statuses.values()) expect(status).toContain('fulfilled');
    client.close();
    expect(await server.stop()).toBe(0);
    repository.remove();
  });

  it('leaves no process behind when the server itself is killed', async () => {
    server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--isolation=process']);
    const [child] = childrenOf(server.pid);
    server.process.kill('SIGKILL');
    await server.exit;
    const isGone = (): boolean => {
      try {
        return /^State:\s+Z/m.test(readFileSync(`/proc/${String(child)}/status`, 'utf8'));
      } catch {
        return true;
      }
    };
    await until(isGone);
  });
});
