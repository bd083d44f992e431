import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { readMetrics } from '../support/metrics.ts';
import { MAIN, startServerProcess, type ServerProcess } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODEL = join(ROOT, 'examples/digits/model');
const SHORT = ['--requests=60', '--warmup=0.1', '--concurrency=1,4'];

interface Measured {
  readonly concurrency?: number;
  readonly rate?: number;
  readonly sent: number;
  readonly warmup_sent: number;
  readonly right: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly latency_ms?: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly unsent?: number;
  readonly server?: { readonly cpu_ms_per_request: number };
}

interface Result {
  readonly interrupted: boolean;
  readonly sent_alone: number;
  readonly measurements: readonly Measured[];
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let scratch: string;
let server: ServerProcess;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-bench-e2e-'));
  server = await startServerProcess(['--model_name=digits', `--model_dir=${MODEL}`]);
});
afterAll(async () => {
  rmSync(scratch, { recursive: true });
  await server.stop();
});

function start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, 'bench', ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (err += text.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      resolve({ code, out, err });
    });
  });
  return { child, ended };
}

async function bench(...args: readonly string[]): Promise<Ended & { readonly result: Result }> {
  const json = join(scratch, 'result.json');
  rmSync(json, { force: true });
  const ended = await start([`--json=${json}`, ...args]).ended;
  let result: Result = { interrupted: false, sent_alone: 0, measurements: [] };
  try {
    result = JSON.parse(readFileSync(json, 'utf8')) as Result;
  } catch {
    // There is none when nothing was measured.
  }
  return { ...ended, result };
}

/** Requests of the model that the server itself has counted. */
async function counted(): Promise<number> {
  let sum = 0;
  for (const [sample, value] of await readMetrics(server.url)) if (sample.startsWith('kserve_node_requests_total{')) sum += value;
  return sum;
}

describe('kserve-node bench', () => {
  it.each(['rest', 'rest-binary', 'grpc', 'grpc-typed', 'v1'])('%s: every answer is right, and the server has counted as many', async (protocol) => {
    const url = protocol.startsWith('grpc') ? `grpc://${server.grpcAddress}` : server.url;
    const before = await counted();
    const { code, err, out, result } = await bench(`--url=${url}`, `--protocol=${protocol}`, '--verify', ...SHORT);
    expect({ code, err: err.split('\n').filter((line) => line !== '' && !line.startsWith('{')) }).toEqual({ code: 0, err: [] });
    expect(out).toContain('model digits of');
    expect(result.measurements.map(({ concurrency, sent, right, failures }) => ({ concurrency, sent, right, failures }))).toEqual([
      { concurrency: 1, sent: 60, right: 60, failures: {} },
      { concurrency: 4, sent: 60, right: 60, failures: {} },
    ]);
    const sent = result.measurements.reduce((sum, each) => sum + each.sent + each.warmup_sent, result.sent_alone);
    expect((await counted()) - before).toBe(sent);
  });

  it('--model_dir: starts a server, tells its processor time, and leaves none behind', async () => {
    const html = join(scratch, 'page.html');
    const { code, result, out } = await bench(
      `--model_dir=${MODEL}`,
      '--requests=50',
      '--warmup=0',
      '--concurrency=2',
      `--html=${html}`,
      '--',
      '--isolation=inline',
    );
    expect(code).toBe(0);
    expect(result.measurements[0]?.server).toBeDefined();
    expect(out).toContain('server CPU ms/request');
    expect(readFileSync(html, 'utf8')).toContain('<polyline');
    const [, port = '0'] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(out) ?? [];
    await expect(fetch(`http://127.0.0.1:${port}/v2/health/live`)).rejects.toThrow();
  });

  it('--rate: sends at the pace that was asked for', async () => {
    const { code, result } = await bench(`--url=${server.url}`, '--rate=100', '--arrivals=constant', '--duration=1', '--warmup=0');
    expect(code).toBe(0);
    expect(result.measurements[0]).toMatchObject({ rate: 100, sent: 100, right: 100, unsent: 0 });
  });

  it('--request: sends the file as it is', async () => {
    const { code, result } = await bench(
      `--url=${server.url}`,
      '--request=examples/digits/request.json',
      '--verify',
      '--requests=20',
      '--warmup=0',
      '--concurrency=2',
    );
    expect({ code, right: result.measurements[0]?.right }).toEqual({ code: 0, right: 20 });
  });

  it('Ctrl-C: gives the result so far and ends with 130', async () => {
    const json = join(scratch, 'interrupted.json');
    const { child, ended } = start([`--url=${server.url}`, '--duration=600', '--warmup=0', '--concurrency=2,4', `--json=${json}`]);
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (text: Buffer) => {
        if (text.includes('"Measuring"')) resolve();
      });
    });
    child.kill('SIGINT');
    const { code, out } = await ended;
    const { interrupted, measurements } = JSON.parse(readFileSync(json, 'utf8')) as Result;
    expect({ code, interrupted, steps: measurements.length }).toEqual({ code: 130, interrupted: true, steps: 1 });
    expect(measurements[0]?.right).toBe(measurements[0]?.sent);
    expect(measurements[0]?.right).toBeGreaterThan(0);
    expect(out).toContain('Broken off');
  });

  it.each([
    ['nobody there', async () => [`--url=http://127.0.0.1:${await freePort()}`], /^Cannot reach 127\.0\.0\.1:\d+: .*ECONNREFUSED/],
    ['nobody there, gRPC', async () => [`--url=grpc://127.0.0.1:${await freePort()}`, '--model=m'], /ECONNREFUSED/],
    ['no such model', () => [`--url=${server.url}`, '--model=nope'], /nope/],
    [
      'a shape that does not fit',
      () => [`--url=${server.url}`, '--shape=input:1,63'],
      /^Cannot use --shape of input "input": expected \[-1,64\], got \[1,63\]$/m,
    ],
    [
      'a request that the server refuses',
      () => [`--url=${server.url}`, '--request=package.json'],
      /^Cannot load the server: a request alone fails with HTTP 400: /,
    ],
    ['no such request', () => [`--url=${server.url}`, '--request=/nowhere.json'], /^Cannot read --request \/nowhere\.json/],
    ['no such model directory', () => ['--model_dir=/nowhere'], /^Cannot start a server with \/nowhere: /],
  ])('%s: one line and exit code 1', async (_what, args, line) => {
    const { code, out, err } = await bench(...(await args()));
    expect({ code, out, lines: err.trim().split('\n').length }).toEqual({ code: 1, out: '', lines: 1 });
    expect(err).toMatch(line);
  });

  it('nonsense: one line for each problem and exit code 2', async () => {
    const { code, err } = await bench(`--url=${server.url}`, '--rate=-1', '--duration=forever');
    expect(code).toBe(2);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});

/** A server that goes wrong on purpose, each `period` requests. */
describe('kserve-node bench against a server with faults', () => {
  let faulty: Server;
  let url: string;
  let count = 0;

  beforeAll(async () => {
    faulty = createServer((request, response) => {
      request.resume();
      request.on('end', () => {
        count++;
        const [path = ''] = (request.url ?? '').split('?');
        if (path === '/busy' && count % 4 === 0) response.writeHead(429).end('{"error":"queue full"}');
        else if (path === '/silent' && count > 1) return;
        else if (path === '/broken' && count % 4 === 0) request.socket.destroy();
        else response.writeHead(200).end(path === '/wrong' && count % 4 === 0 ? 'another' : 'answer');
      });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => faulty.once('listening', resolve));
    url = `http://127.0.0.1:${(faulty.address() as AddressInfo).port}`;
    writeFileSync(join(scratch, 'request.txt'), 'question');
  });
  afterAll(() => {
    faulty.closeAllConnections();
    faulty.close();
  });

  const load = (path: string, ...more: readonly string[]): ReturnType<typeof bench> => {
    count = 0;
    return bench(
      `--url=${url}/${path}`,
      '--protocol=http',
      `--request=${join(scratch, 'request.txt')}`,
      ...(more.some((flag) => flag.startsWith('--requests')) ? [] : ['--requests=40']),
      '--warmup=0',
      '--concurrency=1',
      ...more,
    );
  };

  it.each([
    ['busy', [], { 'HTTP 429': 10 }],
    ['wrong', ['--verify'], { 'wrong answer': 10 }],
    ['broken', [], { 'connection lost': 10 }],
  ])('%s: counts what failed, and ends with 1', async (path, more, failures) => {
    const { code, err, result, out } = await load(path, ...more);
    expect({ code, failures: result.measurements[0]?.failures, right: result.measurements[0]?.right }).toEqual({ code: 1, failures, right: 30 });
    expect(err).toContain('10 of 40 requests failed (25.00 %), more than --max_error_ratio=0');
    expect(out).toContain(Object.keys(failures)[0]);
  });

  it('--max_error_ratio: what it allows is no failure', async () => {
    expect((await load('busy', '--max_error_ratio=0.25')).code).toBe(0);
    expect((await load('busy', '--max_error_ratio=0.24')).code).toBe(1);
  });

  it('without --verify a wrong answer counts as right: nobody looks at it', async () => {
    expect((await load('wrong')).result.measurements[0]?.right).toBe(40);
  });

  it('a server that never answers: each request times out', async () => {
    const { code, result } = await load('silent', '--timeout=0.2', '--requests=3');
    expect({ code, failures: result.measurements[0]?.failures }).toEqual({ code: 1, failures: { timeout: 3 } });
  });
});
