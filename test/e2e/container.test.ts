import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { connect, tensor } from '../../src/client/index.ts';
import { MAIN } from '../support/server.ts';
import { modelDir } from '../support/vectors.ts';

let scratch: string;
let model: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-container-'));
  model = join(scratch, 'model');
  mkdirSync(model);
  cpSync(join(modelDir('digits-mlp'), 'model.onnx'), join(model, 'model.onnx'));
  chmodSync(model, 0o555);
});
afterEach(() => {
  chmodSync(model, 0o755);
  rmSync(scratch, { recursive: true, force: true });
});

interface Container {
  readonly httpUrl: string;
  readonly grpcUrl: string;
  /** SIGTERM; resolves with the exit code or the signal's name, and what it has logged. */
  stop(): Promise<{ code: number | string; log: string }>;
}

/** Starts the program with this environment and no other; resolves when it says that it serves. `shell` runs before it, in the same process. */
function start(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string, shell = ''): Promise<Container> {
  const flags = ['serve', '--host=127.0.0.1', '--grpc_port=0', '--model_name=digits', `--model_dir=${model}`, ...args];
  const child = spawn('sh', ['-c', `${shell}exec "$0" "$@"`, process.execPath, MAIN, ...flags], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown');
    }),
  );
  let log = '';
  return new Promise((resolve, reject) => {
    const collect = (chunk: Buffer): void => {
      log += chunk.toString();
      const line = log.split('\n').find((candidate) => candidate.includes('"message":"Serving"') && candidate.endsWith('}'));
      if (line === undefined) return;
      const { httpUrl, grpcUrl } = JSON.parse(line) as { httpUrl: string; grpcUrl: string };
      resolve({
        httpUrl,
        grpcUrl,
        stop: async () => {
          child.kill('SIGTERM');
          return { code: await exit, log };
        },
      });
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    void exit.then((code) => {
      reject(new Error(`the server ended (${String(code)}) before it served:\n${log}`));
    });
  });
}

async function expectAnswers({ httpUrl, grpcUrl }: Container): Promise<void> {
  for (const url of [httpUrl, grpcUrl]) {
    const client = connect(url);
    const response = await client.infer('digits', { inputs: [tensor('input', 'FP32', [1, 64], new Float32Array(64))] });
    expect(response.output('label', 'INT64')).toHaveLength(1);
    client.close();
  }
}

describe.each(['inline', 'process'])('in a container with --isolation=%s', (isolation) => {
  // A file-size limit of 0 refuses every byte for a file, to root too; and nobody can create one in /proc, or below a device.
  it('needs no HOME and no place to write, listens on PORT and leaves at once behind Knative', async () => {
    const port = await freePort();
    const env = { PATH: process.env['PATH'] ?? '', PORT: String(port), K_SERVICE: 'digits', TMPDIR: '/dev/null/none' };
    const container = await start([`--isolation=${isolation}`], env, '/proc', 'ulimit -f 0; ');
    expect(container.httpUrl).toBe(`http://127.0.0.1:${String(port)}`);
    await expectAnswers(container);
    const { code, log } = await container.stop();
    expect(code, log).toBe(0);
    expect(log).toContain('"lameDuckMs":0,');
  });

  it('leaves nothing behind: not in HOME, the temporary or the working directory, nor beside the model', async () => {
    const places = ['home', 'tmp', 'cwd'].map((name) => join(scratch, name));
    for (const place of places) mkdirSync(place);
    const [home = '', tmp = '', cwd = ''] = places;
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: tmp, PORT: '0', K_SERVICE: 'digits' };
    const container = await start([`--isolation=${isolation}`], env, cwd);
    await expectAnswers(container);
    expect((await container.stop()).code).toBe(0);
    expect(readdirSync(scratch, { recursive: true }).sort()).toEqual(['cwd', 'home', 'model', 'model/model.onnx', 'tmp']);
  });
});
