import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/bench/free-port.ts';
import { isListening } from '../support/server.ts';
import { treeOf } from './process-tree.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

/** Exactly what ran, for the report. */
export type Isolation = 'inline' | 'process';

export interface Server {
  readonly name: string;
  readonly url: string;
  /** `host:port` of gRPC, where it is served. */
  readonly grpcHost?: string;
  /** The server's process and its children, as they are now. */
  pids(): number[];
  stop(): Promise<void>;
}

export interface ProductOptions {
  readonly isolation: Isolation;
  readonly modelName: string;
  /** Below the repository's root. */
  readonly modelDir: string;
  readonly flags?: readonly string[];
}

export async function startProduct({ isolation, modelName, modelDir, flags = [] }: ProductOptions): Promise<Server> {
  const [http, grpc] = [await freePort(), await freePort()];
  const args = [
    'dist/main.cjs',
    'serve',
    `--model_name=${modelName}`,
    `--model_dir=${modelDir}`,
    `--http_port=${http}`,
    `--grpc_port=${grpc}`,
    `--isolation=${isolation}`,
    '--lame_duck_seconds=0',
    ...flags,
  ];
  return { ...(await start(`kserve-node ${isolation}`, args, http, '/v2/health/ready')), grpcHost: `127.0.0.1:${grpc}` };
}

/** Our transformer with a handler that changes nothing, before a predictor that it asks by gRPC. */
export async function startTransformer(modelName: string, predictorHost: string, isolation: 'inline' | 'process'): Promise<Server> {
  const port = await freePort();
  const args = [
    'dist/main.cjs',
    'serve',
    '--handler=test/bench/no-op-handler.mjs',
    `--isolation=${isolation}`,
    `--http_port=${port}`,
    '--enable_grpc=false',
    '--enable_latency_logging=false',
    '--lame_duck_seconds=0',
    ...predictorFlags(modelName, predictorHost),
  ];
  return start(`kserve-node ${isolation}`, args, port, '/v2/health/ready');
}

/** Another server of the field with one model, from a script of test/bench/peers: the same arguments for all. */
export async function startPeer(
  name: string,
  python: string,
  script: string,
  model: { readonly modelName: string; readonly modelPath: string },
): Promise<Server> {
  const [http, grpc] = [await freePort(), await freePort()];
  const isOip = !script.includes('litserve');
  const args = [script, model.modelName, model.modelPath, String(http), String(grpc)];
  const server = await start(name, args, http, isOip ? `/v2/models/${model.modelName}/ready` : '/health', python);
  // Some open it after they say that they are ready.
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (isOip && !(await isListening(grpc))) {
    if (performance.now() > deadline) {
      await server.stop();
      throw new Error(`Cannot start ${name}: nothing listens at its gRPC port`);
    }
    await sleep(50);
  }
  return { ...server, grpcHost: `127.0.0.1:${grpc}` };
}

/** KServe's own SDK doing the same; `python` has the packages of test/bench/peers/kserve.txt. */
export async function startKServeTransformer(python: string, modelName: string, predictorHost: string): Promise<Server> {
  const port = await freePort();
  const args = [
    'test/bench/peers/kserve-transformer/transformer.py',
    `--http_port=${port}`,
    '--enable_grpc=false',
    '--enable_latency_logging=false',
    '--configure_logging=false',
    ...predictorFlags(modelName, predictorHost),
  ];
  return start('KServe Python SDK', args, port, '/v2/health/ready', python);
}

function predictorFlags(modelName: string, host: string): string[] {
  return [`--model_name=${modelName}`, `--predictor_host=${host}`, '--predictor_protocol=grpc-v2'];
}

export async function startFloor(modelPath: string): Promise<Server> {
  const port = await freePort();
  return start('floor', ['test/bench/floor.mjs', modelPath, String(port)], port, '/');
}

export async function startIdle(): Promise<Server> {
  const port = await freePort();
  return start('idle node:http', ['test/bench/idle.mjs', String(port)], port, '/');
}

/** Resolves when it has burnt its time; `stop` ends it before. */
export function startBurner(threads: number, milliseconds: number): { readonly done: Promise<unknown>; stop(): void } {
  const child = spawn(process.execPath, ['test/bench/burner.mjs', String(threads), String(milliseconds)], { cwd: ROOT, stdio: 'inherit' });
  return { done: once(child, 'exit'), stop: () => child.kill('SIGKILL') };
}

async function start(name: string, args: readonly string[], port: number, readyPath: string, command = process.execPath): Promise<Server> {
  // Log lines go to a file: to read them here would take processor time of what is measured.
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-server-'));
  const log = openSync(join(folder, 'log'), 'w');
  // In a group of its own: workers that outlive their parent are found by it.
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'ignore', log], detached: true });
  closeSync(log);
  if (child.pid !== undefined) remember(child.pid);
  const url = `http://127.0.0.1:${port}`;
  const deadline = performance.now() + START_TIMEOUT_MS;
  while ((await statusOf(url + readyPath)) !== 200) {
    if (child.exitCode !== null || performance.now() > deadline) {
      const complaint = readFileSync(join(folder, 'log'), 'utf8').slice(-4000);
      if (child.pid !== undefined) killGroup(child.pid);
      rmSync(folder, { recursive: true });
      throw new Error(`Cannot start ${name} (${command} ${args.join(' ')}):\n${complaint}`);
    }
    await sleep(50);
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`Cannot start ${name}`);
  return { name, url, pids: () => treeOf(pid), stop: () => stopAndForget(child, folder) };
}

async function stopAndForget(child: ChildProcess, folder: string): Promise<void> {
  await stop(child);
  rmSync(folder, { recursive: true, force: true });
}

/** Asks the server to stop, and then ends what it has left behind. */
async function stop(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }
  killGroup(pid);
}

/** Leaders of the groups that run. */
const groups = new Set<number>();
let isWatched = false;

/** However this process ends, the servers end with it: in groups of their own, no terminal tells them. */
function remember(pid: number): void {
  if (!isWatched) {
    isWatched = true;
    process.once('exit', killAll);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  }
  groups.add(pid);
}

function killAll(): void {
  for (const pid of groups) killGroup(pid);
}

function killGroup(pid: number): void {
  groups.delete(pid);
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}

/** 0 when nothing answers. */
function statusOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      response.on('end', () => {
        resolve(response.statusCode ?? 0);
      });
    }).on('error', () => {
      resolve(0);
    });
  });
}
