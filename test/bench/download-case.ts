import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchEffort } from './effort.ts';
import { cpuMs, rssMiB, treeOf } from './process-tree.ts';
import type { CaseReport, Goal } from './report.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** Made by test/bench/peers/setup.sh; the variable names another environment that has `kserve-storage`. */
const PYTHON = process.env['KSERVE_STORAGE_PYTHON'] ?? resolve('.venv/bench-kserve-storage/bin/python');
/** Installed by test/storage/run.sh. */
const VERSITYGW = process.env['VERSITYGW'] ?? resolve('.venv-storage/bin/versitygw');
const PEER = resolve('test/bench/peers/kserve-storage');
const KEYS = { AWS_ACCESS_KEY_ID: 'benchkey', AWS_SECRET_ACCESS_KEY: 'benchsecret', AWS_DEFAULT_REGION: 'us-east-1' };
const MIB = 2 ** 20;
const SAMPLE_MS = 20;
const RSS_LIMIT_MIB = 200;

type Load = 'one' | 'many';
type Urls = Readonly<Record<Load, readonly string[]>>;

interface Downloader {
  readonly name: string;
  command(load: Load, dir: string): readonly [string, ...string[]];
}

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly rssMiB: number;
}

/** Wall time of whole processes that bring one large object, and many small ones, from a local S3 server, against KServe's Python initializer. */
export async function runDownloadCase(effort: BenchEffort): Promise<CaseReport> {
  for (const path of [PYTHON, VERSITYGW]) {
    if (!existsSync(path))
      throw new Error(`${path} is missing: run test/bench/peers/setup.sh and test/storage/run.sh, or set KSERVE_STORAGE_PYTHON and VERSITYGW`);
  }
  const isQuick = effort.rounds === 1;
  const sizes = { one: { files: 1, bytes: (isQuick ? 128 : 1024) * MIB }, many: { files: isQuick ? 200 : 2000, bytes: MIB / 4 } };
  const dir = mkdtempSync(join(process.env['BENCH_DOWNLOAD_DIR'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()), 'kserve-node-bench-'));
  const { server, endpoint } = await startServer(dir);
  try {
    const env = { PATH: process.env['PATH'] ?? '', HOME: dir, AWS_ENDPOINT_URL: endpoint, AWS_EC2_METADATA_DISABLED: 'true', ...KEYS };
    const urls = JSON.parse(execFileSync(PYTHON, [join(PEER, 'fill.py'), JSON.stringify(sizes)], { env, encoding: 'utf8' })) as Urls;
    const downloaders = [
      ours(),
      python(),
      floor('curl to files', urls, sizes.one.bytes, dir, (index) => join(dir, 'out', String(index))),
      floor('curl to /dev/null', urls, sizes.one.bytes, dir, () => '/dev/null'),
    ];
    const runs = new Map<string, Run[]>();
    for (let round = 0; round < effort.rounds; round++) {
      for (const load of ['one', 'many'] as const) {
        for (const downloader of downloaders) {
          const run = await measure(downloader.command(load, join(dir, 'out')), env, server);
          rmSync(join(dir, 'out'), { recursive: true, force: true });
          const key = `${load} ${downloader.name}`;
          runs.set(key, [...(runs.get(key) ?? []), run]);
        }
      }
    }
    return toReport(downloaders, runs, sizes, effort);
  } finally {
    server.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

function ours(): Downloader {
  return { name: 'kserve-node', command: (load, out) => [process.execPath, resolve('dist/main.cjs'), 'download', `s3://models/${load}`, out] };
}

function python(): Downloader {
  return { name: 'kserve-storage', command: (load, out) => [PYTHON, join(PEER, 'download.py'), `s3://models/${load}`, out] };
}

/** What the server can give at all: curl on signed URLs, eight connections, nothing verified. To /dev/null, or to files as a downloader must. */
function floor(name: string, urls: Urls, bytes: number, dir: string, targetOf: (index: number) => string): Downloader {
  const part = bytes / 8;
  const url = urls.one[0] ?? '';
  const parts = Array.from({ length: 8 }, (_, i) => `range = ${i * part}-${(i + 1) * part - 1}\nurl = "${url}"\noutput = ${targetOf(i)}\n`);
  const fileOf = (load: Load): string => join(dir, `${name.replaceAll(/\W/g, '-')}-${load}.curl`);
  writeFileSync(fileOf('one'), parts.join('next\n'));
  writeFileSync(fileOf('many'), urls.many.map((each, index) => `url = "${each}"\noutput = ${targetOf(index)}\n`).join(''));
  return { name, command: (load) => ['curl', '-sS', '--fail', '--create-dirs', '-Z', '--parallel-max', '8', '-K', fileOf(load)] };
}

async function startServer(dir: string): Promise<{ readonly server: ChildProcess; readonly endpoint: string }> {
  for (const name of ['data', 'meta']) mkdirSync(join(dir, name));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const env = { ROOT_ACCESS_KEY: KEYS.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: KEYS.AWS_SECRET_ACCESS_KEY };
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', '--sidecar', join(dir, 'meta'), join(dir, 'data')];
  const server = spawn(VERSITYGW, args, { env, stdio: 'ignore' });
  for (let tries = 0; tries < 200; tries++) {
    const socket = connect(port, '127.0.0.1');
    const isUp = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false);
    socket.destroy();
    if (isUp) return { server, endpoint: `http://127.0.0.1:${port}` };
    await sleep(50);
  }
  server.kill('SIGKILL');
  throw new Error('versitygw did not listen within 10 s');
}

async function measure(
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  server: ChildProcess,
): Promise<Run> {
  const serverBefore = cpuMs([server.pid ?? 0]);
  const startedAt = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'ignore'] });
  let rss = 0;
  const cpu = new Map<number, number>();
  const sampler = setInterval(() => {
    const tree = treeOf(child.pid ?? 0);
    rss = Math.max(rss, rssMiB(tree));
    for (const pid of tree) cpu.set(pid, Math.max(cpu.get(pid) ?? 0, cpuMs([pid])));
  }, SAMPLE_MS);
  const [code] = (await once(child, 'exit')) as [number | null];
  const seconds = (performance.now() - startedAt) / 1000;
  clearInterval(sampler);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code ?? 'a signal'}`);
  const cpuSeconds = [...cpu.values()].reduce((sum, ms) => sum + ms, 0) / 1000;
  return { seconds, cpuSeconds, serverCpuSeconds: (cpuMs([server.pid ?? 0]) - serverBefore) / 1000, rssMiB: rss };
}

function toReport(
  downloaders: readonly Downloader[],
  runs: ReadonlyMap<string, readonly Run[]>,
  sizes: Readonly<Record<Load, { readonly files: number; readonly bytes: number }>>,
  { rounds }: BenchEffort,
): CaseReport {
  const of = (load: Load, { name }: Downloader): readonly Run[] => runs.get(`${load} ${name}`) ?? [];
  const titles: Readonly<Record<Load, string>> = {
    one: `1 object of ${sizes.one.bytes / MIB} MiB`,
    many: `${sizes.many.files} objects of 256 KiB`,
  };
  const loads = ['one', 'many'] as const;
  const [product, peer] = downloaders;
  const goals = loads.flatMap((load): Goal[] => {
    if (product === undefined || peer === undefined) return [];
    const mine = of(load, product);
    const ratios = of(load, peer).map(({ seconds }, round) => seconds / (mine[round]?.seconds ?? NaN));
    return [
      { what: `${titles[load]}: times as fast as KServe's Python initializer`, ratio: spreadOf(ratios).median, limit: 3, isAtLeast: true },
      {
        what: `${titles[load]}: greatest RSS in MiB`,
        ratio: Math.max(...mine.map(({ rssMiB: rss }) => rss)),
        limit: RSS_LIMIT_MIB,
        isAtLeast: false,
      },
    ];
  });
  return {
    title: 'download: from a local S3 server',
    method:
      `Whole processes, from exec to exit, that bring a prefix from versitygw to a file system in memory, ${rounds} rounds in turn. KServe's initializer is its Python package; what the ` +
      `server can give at all is shown by curl with eight connections that verifies nothing, to files and to nowhere. Client and server share the cores, so the server's CPU is part of every wall time. ` +
      `CPU is sampled every ${SAMPLE_MS} ms and misses what comes after the last sample.`,
    columns: ['load', 'downloader', 'wall s', 'CPU s', 'CPU s of the server', 'RSS MiB'],
    rows: loads.flatMap((load) =>
      downloaders.map((downloader) => {
        const all = of(load, downloader);
        const column = (pick: (run: Run) => number, digits: number): string => formatSpread(spreadOf(all.map(pick)), digits);
        return [
          titles[load],
          downloader.name,
          column(({ seconds }) => seconds, 2),
          column(({ cpuSeconds }) => cpuSeconds, 2),
          column(({ serverCpuSeconds }) => serverCpuSeconds, 2),
          column(({ rssMiB: rss }) => rss, 0),
        ];
      }),
    ),
    goals,
  };
}
