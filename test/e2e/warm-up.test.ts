import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const row = (size: number): string =>
  JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, size], data: Array(size).fill(0.5) }] });

let repository: TemporaryRepository;
let server: ServerProcess | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
  repository.remove();
});

function prepare(): string {
  repository = createTemporaryRepository({ digits: 'models/digits-mlp' });
  const directory = join(repository.dir, 'digits', 'warmup');
  mkdirSync(directory);
  return directory;
}

describe.each(['inline', 'process'])('warm-up with --isolation=%s', (isolation) => {
  it('runs the samples of the model directory before the model serves, and before a reload takes over', async () => {
    const samples = prepare();
    writeFileSync(join(samples, 'one.json'), row(64));
    server = await startServerProcess([`--model_dir=${repository.dir}`, `--isolation=${isolation}`, '--instances=2', '--log_format=json']);
    await server.waitFor(/"samples":1,"runs":2,.*"Model warmed up".*\n.*"Model loaded"/);

    writeFileSync(join(samples, 'two.json'), row(63));
    const failed = await fetch(`${server.url}/v2/repository/models/digits/load`, { method: 'POST' });
    expect(failed.status).toBe(503);
    expect(await failed.text()).toMatch(/Cannot warm up with \S+two\.json: .*\[1,63\]/);
    const answer = await fetch(`${server.url}/v2/models/digits/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: row(64),
    });
    expect(answer.status).toBe(200);

    writeFileSync(join(samples, 'two.json'), row(64));
    expect((await fetch(`${server.url}/v2/repository/models/digits/load`, { method: 'POST' })).status).toBe(200);
    await server.waitFor(/"samples":2,"runs":4/);
  });

  it.runIf(isolation === 'process')('runs the samples in the process that replaces a lost one, before that takes requests', async () => {
    writeFileSync(join(prepare(), 'one.json'), row(64));
    server = await startServerProcess([`--model_dir=${repository.dir}`, `--isolation=${isolation}`, '--instances=2', '--log_format=json']);
    const { pid } = server;
    const [child] = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').split(' ');
    process.kill(Number(child), 'SIGKILL');
    await server.waitFor(/A model process was lost[^]*"samples":1,"runs":2,.*"Model warmed up"[^]*A model process is back/);
  });

  it('ends a start whose only model refuses a sample, with the file and the reason', async () => {
    writeFileSync(join(prepare(), 'bad.json'), '{"inputs": [');
    server = await startServerProcess([`--model_dir=${repository.dir}`, `--isolation=${isolation}`], { isLoose: true });
    expect(await server.exit).toBe(2);
    expect(server.output().trimEnd().split('\n').at(-1)).toMatch(/^Cannot load model "digits" from .*: Cannot warm up with \S+bad\.json: /);
  });
});
