import { spawn, type ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../src/bench/free-port.ts';

export const MAIN = join(import.meta.dirname, '../../dist/main.cjs');

/** The built program as a real process with real ports. */
export interface ServerProcess {
  readonly url: string;
  readonly grpcAddress: string;
  readonly process: ChildProcess;
  readonly pid: number;
  /** Everything it has written to stdout and stderr so far. */
  output(): string;
  /** Resolves with the exit code, or the signal's name, when all that it wrote is in `output`. */
  exit: Promise<number | string>;
  /** Resolves when the output matches; rejects when the process ends before that. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  stop(): Promise<number | string>;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
  readonly cwd?: string;
  /** Any free ones by default. */
  readonly httpPort?: number;
  readonly grpcPort?: number;
  /** Runs as this user and its group, for root only. */
  readonly uid?: number;
  /** Another program than the checkout's. */
  readonly main?: string;
  /** Do not wait until it is ready. */
  readonly isLoose?: boolean;
}

/** Starts `kserve-node serve` with the arguments and waits until it answers that it is ready. */
export async function startServerProcess(args: readonly string[], options: StartOptions = {}): Promise<ServerProcess> {
  const { httpPort = await freePort(), grpcPort = await freePort() } = options;
  const argv = [
    ...(options.nodeArgs ?? []),
    options.main ?? MAIN,
    'serve',
    '--host=127.0.0.1',
    `--http_port=${String(httpPort)}`,
    `--grpc_port=${String(grpcPort)}`,
    ...(args.some((arg) => arg.startsWith('--lame_duck_seconds')) ? [] : ['--lame_duck_seconds=0']),
    ...args,
  ];
  const child = spawn(process.execPath, argv, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const watchers = new Set<() => void>();
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const watcher of watchers) watcher();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const exit = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown');
    }),
  );
  const server: ServerProcess = {
    url: `http://127.0.0.1:${String(httpPort)}`,
    grpcAddress: `127.0.0.1:${String(grpcPort)}`,
    process: child,
    pid: child.pid ?? 0,
    output: () => output,
    exit,
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const match = pattern.exec(output);
          if (!match) return;
          watchers.delete(check);
          resolve(match);
        };
        watchers.add(check);
        void exit.then((code) => {
          reject(new Error(`the server ended (${String(code)}) before it wrote ${String(pattern)}:\n${output}`));
        });
        check();
      }),
    stop: () => {
      child.kill('SIGTERM');
      return exit;
    },
  };
  if (options.isLoose !== true) await waitUntilReady(server);
  return server;
}

async function waitUntilReady(server: ServerProcess): Promise<void> {
  let ended: number | string | undefined;
  void server.exit.then((code) => {
    ended = code;
  });
  const deadline = performance.now() + 60_000;
  const port = Number(new URL(server.url).port);
  while (performance.now() < deadline) {
    if (ended !== undefined) throw new Error(`the server ended (${String(ended)}) before it was ready:\n${server.output()}`);
    if ((await isListening(port)) && (await fetch(`${server.url}/v2/health/ready`)).ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the server was not ready within 60 s:\n${server.output()}`);
}

/** Whether somebody takes connections there. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
