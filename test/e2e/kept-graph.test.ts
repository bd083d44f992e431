import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { message, vectorInfo } from '../support/onnx-bytes.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

/** Takes half a second to optimise and a few milliseconds to load after that: nodes that are left out. Less than 100 ms is not worth keeping. */
const NODES = 30_000;

function chainModel(scale: number): Uint8Array {
  const nodes = Array.from({ length: NODES }, (_, i) =>
    message([1, i === 0 ? 'scaled' : `n${i}`], [2, i === NODES - 1 ? 'y' : `n${i + 1}`], [4, i === NODES - 1 ? 'Relu' : 'Identity']),
  );
  const weight = message([1, 1], [2, 1], [8, 'scale'], [9, new Uint8Array(Float32Array.of(scale).buffer)]);
  const first = message([1, 'x'], [1, 'scale'], [2, 'scaled'], [4, 'Mul']);
  const graph = [first, ...nodes].map((node) => [1, node] as const);
  return message(
    [1, 8],
    [7, message(...graph, [2, 'chain'], [5, weight], [11, vectorInfo('x')], [12, vectorInfo('y')])],
    [8, message([1, ''], [2, 17])],
  );
}

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'kserve-node-graph-'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let server: ServerProcess | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function infer({ url }: ServerProcess): Promise<unknown> {
  const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1.5, -2] }] });
  const response = await fetch(`${url}/v2/models/chain/infer`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return ((await response.json()) as { outputs?: readonly { data: unknown }[] }).outputs?.[0]?.data;
}

const LOADED_KEPT = /"graph":"kept".*"Model loaded"/;

describe.each(['inline', 'process'])('the optimised graph of a model with --isolation=%s', (isolation) => {
  it('is kept for the next start and the next load, and not taken for a changed model', async () => {
    const home = join(root, isolation);
    const model = join(home, 'model');
    mkdirSync(model, { recursive: true });
    writeFileSync(join(model, 'model.onnx'), chainModel(2));
    const cache = join(home, 'cache');
    mkdirSync(cache);
    const start = async (): Promise<ServerProcess> => {
      const args = ['--model_name=chain', `--model_dir=${model}`, `--model_cache=${cache}`, `--isolation=${isolation}`, '--log_format=json'];
      return (server = await startServerProcess([...args, '--startup_report']));
    };
    const first = await start();
    expect(await infer(first)).toEqual([3, 0]);
    await first.waitFor(/"Optimised graph kept"/);
    expect(first.output()).not.toMatch(LOADED_KEPT);
    expect((await fetch(`${first.url}/v2/repository/models/chain/load`, { method: 'POST' })).status).toBe(200);
    await first.waitFor(LOADED_KEPT);
    await first.stop();

    const second = await start();
    expect(await infer(second)).toEqual([3, 0]);
    await second.waitFor(LOADED_KEPT);
    await second.waitFor(/all models are loaded \(by optimised graphs kept in --model_cache: chain\)/);
    writeFileSync(join(model, 'model.onnx'), chainModel(4));
    expect((await fetch(`${second.url}/v2/repository/models/chain/load`, { method: 'POST' })).status).toBe(200);
    expect(await infer(second)).toEqual([6, 0]);
    expect(existsSync(join(model, 'weights.bin'))).toBe(false);
  });
});
