import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../client/index.ts';
import { ServingError } from '../core/errors.ts';
import { freePort } from './free-port.ts';

/** A server of ours in a process of its own, whose processor time is not the load generator's. */
export interface LocalServer {
  readonly httpUrl: string;
  readonly grpcUrl: string;
  readonly pid: number;
  /** Resolves when it has ended. */
  stop(): Promise<void>;
}

export interface LocalServerOptions {
  readonly program: readonly string[];
  readonly modelDir: string;
  readonly modelName: string;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 10_000;
const ASK_EVERY_MS = 50;
const KEPT_CHARACTERS = 4000;

/** Resolves when it is ready. Rejects with ServingError and the server's own last words when it does not start. */
export async function startLocalServer({ program, modelDir, modelName, args, signal }: LocalServerOptions): Promise<LocalServer> {
  const [http, grpc] = [await freePort(), await freePort()];
  const own = [
    `--model_dir=${modelDir}`,
    `--model_name=${modelName}`,
    '--host=127.0.0.1',
    `--http_port=${http}`,
    `--grpc_port=${grpc}`,
    '--lame_duck_seconds=0',
  ];
  const given = new Set(args.map((arg) => arg.replace(/=.*/s, '').replaceAll('-', '_')));
  const flags = [...own.filter((flag) => !given.has(flag.replace(/=.*/s, '').replaceAll('-', '_'))), ...args];
  // A group of its own: Ctrl-C is meant for the load generator, which stops the server afterwards.
  const child = spawn(process.execPath, [...program, 'serve', ...flags], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-KEPT_CHARACTERS)));
  const httpUrl = `http://127.0.0.1:${http}`;
  const client = connect(httpUrl, { retries: 0, timeoutMs: 1000 });
  try {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await client.isReady().catch(() => false))) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline || signal.aborted) {
        throw new ServingError('model_not_ready', `Cannot start a server with ${modelDir}: ${lastLine(words)}`);
      }
      await sleep(ASK_EVERY_MS);
    }
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    client.close();
  }
  return { httpUrl, grpcUrl: `grpc://127.0.0.1:${grpc}`, pid: child.pid ?? 0, stop: () => stop(child) };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
