import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/bench/free-port.ts';
import { PEERS, pythonOf } from './contenders.ts';
import { DIGITS, DIGITS_BODY, INFER_PATH, isDigitsAnswer } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import type { CaseReport, Goal } from './report.ts';
import { formatSpread, percentile, spreadOf } from './statistics.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TIMEOUT_MS = 60_000;
/** Starts a full run makes of each server; the first one of all is left out. */
const STARTS = 9;
const QUICK_STARTS = 2;

/** A Node 24, left out without; peers are those that `npm run bench:peers` has made. */
const { NODE24_BENCH } = process.env;

/** Whoever waits for the machine does not wait longer than this and one round. */
const HOLD_MS = 50_000;

interface Contender {
  readonly name: string;
  readonly command: string;
  /** Arguments, by the port to listen on. */
  readonly args: (port: number) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** `exec` to the first right REST answer, servers in turn. */
export async function runColdStartCase(effort: BenchEffort): Promise<CaseReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-bench-start-'));
  try {
    return await compareStarts(listContenders(folder), effort);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compareStarts(contenders: readonly Contender[], { rounds, hold }: BenchEffort): Promise<CaseReport> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  const reports = new Map<string, string>();
  const starts = rounds === 1 ? QUICK_STARTS : STARTS;
  const runRound = async (round: number): Promise<void> => {
    for (const contender of contenders) {
      // In the first round files come into the page cache, and V8's work is kept for the next: that server runs on for a while.
      const { ms, output } = await timeStart(contender, round === 0 ? WARM_MS : 0);
      if (round > 0) times.get(contender.name)?.push(ms);
      reports.set(contender.name, output);
    }
  };
  let round = 0;
  while (round <= starts) {
    await hold(async () => {
      const endsAt = performance.now() + HOLD_MS;
      do await runRound(round++);
      while (round <= starts && performance.now() < endsAt);
    });
  }
  return toReport(times, starts, reports);
}

/** Longer than the server waits before it keeps what was compiled. */
const WARM_MS = 3000;

function listContenders(folder: string): Contender[] {
  const forNode = (version: string, command: string): Contender[] => [
    { name: `floor, Node ${version}`, command, args: (port) => ['test/bench/floor.mjs', DIGITS.modelPath, String(port)] },
    { name: `kserve-node inline, Node ${version}`, command, args: (port) => productArgs(port, 'inline') },
    { name: `kserve-node process, Node ${version}`, command, args: (port) => productArgs(port, 'process') },
  ];
  const [own = ''] = process.versions.node.split('.');
  const contenders = forNode(own, process.execPath);
  if (NODE24_BENCH !== undefined) contenders.push(...forNode('24', NODE24_BENCH));
  if (existsSync(pythonOf('kserve'))) {
    const file = 'test/bench/peers/kserve-predictor/predictor.py';
    const flags = [`--model_name=${DIGITS.modelName}`, `--model_path=${DIGITS.modelPath}`, '--enable_grpc=false', '--configure_logging=false'];
    contenders.push({ name: PEERS.kserve, command: pythonOf('kserve'), args: (port) => [file, `--http_port=${port}`, ...flags] });
  }
  if (existsSync(pythonOf('mlserver'))) {
    const program = join(ROOT, pythonOf('mlserver'), '../mlserver');
    const env = { PYTHONPATH: join(ROOT, 'test/bench/peers') };
    contenders.push({ name: PEERS.mlserver, command: program, args: (port) => ['start', writeMlserverSettings(folder, port)], env });
  }
  return contenders;
}

/** The folder that MLServer starts from, without worker processes: its quickest form. */
function writeMlserverSettings(folder: string, port: number): string {
  const place = join(folder, 'mlserver');
  const write = (file: string, settings: unknown): void => {
    writeFileSync(join(place, file), JSON.stringify(settings));
  };
  mkdirSync(join(place, 'metrics'), { recursive: true });
  mkdirSync(join(place, DIGITS.modelName), { recursive: true });
  write('settings.json', {
    host: '127.0.0.1',
    http_port: port,
    grpc_port: 0,
    metrics_endpoint: null,
    parallel_workers: 0,
    environments_dir: join(place, 'environments'),
    metrics_dir: join(place, 'metrics'),
  });
  write(`${DIGITS.modelName}/model-settings.json`, {
    name: DIGITS.modelName,
    implementation: 'mlserver_model.OnnxModel',
    parameters: { uri: join(ROOT, DIGITS.modelPath) },
  });
  return place;
}

function productArgs(port: number, isolation: string): readonly string[] {
  return [
    'dist/main.cjs',
    'serve',
    `--model_name=${DIGITS.modelName}`,
    `--model_dir=${DIGITS.modelDir}`,
    `--http_port=${port}`,
    '--grpc_port=0',
    `--isolation=${isolation}`,
    '--lame_duck_seconds=0',
    '--startup_report',
  ];
}

async function timeStart({ name, command, args, env }: Contender, lingerMs: number): Promise<{ readonly ms: number; readonly output: string }> {
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(command, args(port), { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.resume();
  try {
    let text: string | undefined;
    while ((text = await tryOnce(port)) === undefined) {
      if (child.exitCode !== null || performance.now() - startedAt > TIMEOUT_MS) throw new Error(`Cannot start ${name}`);
      await sleep(1);
    }
    const ms = performance.now() - startedAt;
    if (!isDigitsAnswer(text)) throw new Error(`Cannot trust ${name}: it answered ${text.slice(0, 200)}`);
    await sleep(lingerMs);
    return { ms, output };
  } finally {
    await end(child);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exited;
  clearTimeout(timer);
}

/** The body of an answer; undefined when there is none yet. From another address than the server's: to a free port of its own a socket can connect to itself. */
function tryOnce(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(DIGITS_BODY) };
    const place = { host: '127.0.0.1', port, localAddress: '127.0.0.2', path: INFER_PATH, method: 'POST', agent: false, headers } as const;
    const outgoing = request(place, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.on('end', () => {
        resolve(incoming.statusCode === 200 ? text : undefined);
      });
    });
    outgoing.on('error', () => {
      resolve(undefined);
    });
    outgoing.end(DIGITS_BODY);
  });
}

function toReport(times: ReadonlyMap<string, readonly number[]>, starts: number, reports: ReadonlyMap<string, string>): CaseReport {
  const medianOf = (name: string): number => percentile(times.get(name) ?? [], 0.5);
  const floorOf = (name: string): string => `floor, ${name.split(', ')[1] ?? ''}`;
  const goals = [...times.keys()].filter((name) => name.includes('inline')).flatMap((name) => goalsOf(name, medianOf, floorOf(name), times));
  return {
    title: 'cold start',
    method:
      `exec to the first right REST answer of digits with a warm page cache, asked every millisecond; median of ${starts} starts in turn. The floor is a bare node:http server with onnxruntime-node.` +
      [...reports]
        .filter(([, text]) => text.includes('Start-up'))
        .map(([name, text]) => `\n\n${name}, last start:\n\n\`\`\`\n${text.slice(text.indexOf('Start-up')).trim()}\n\`\`\``)
        .join(''),
    columns: ['server', 'ms to the first answer', 'of its floor'],
    rows: [...times].map(([name, all]) => [
      name,
      formatSpread(spreadOf(all)),
      name.startsWith('kserve-node') ? (medianOf(name) / medianOf(floorOf(name))).toFixed(2) : '',
    ]),
    goals,
  };
}

const PEER_GOALS = [
  { peer: PEERS.kserve, limit: 5 },
  { peer: PEERS.mlserver, limit: 6 },
] as const;

function goalsOf(name: string, medianOf: (name: string) => number, floor: string, times: ReadonlyMap<string, readonly number[]>): Goal[] {
  const goals: Goal[] = [{ what: `${name}, of the floor's`, ratio: medianOf(name) / medianOf(floor), limit: 1.2, isAtLeast: false }];
  for (const { peer, limit } of PEER_GOALS) {
    if (times.has(peer)) goals.push({ what: `${peer} of ${name}`, ratio: medianOf(peer) / medianOf(name), limit, isAtLeast: true });
  }
  return goals;
}
