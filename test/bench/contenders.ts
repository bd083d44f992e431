import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchEffort } from './effort.ts';
import { generateLoad } from './generator.ts';
import { checkAnswer, type LoadProtocol, type Workload } from './reference.ts';
import { startFloor, startPeer, startProduct, type Isolation, type Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** The servers that a workload can be given to; each is started once for a case. */
export const PEERS = { kserve: 'KServe Python SDK', mlserver: 'MLServer', litserve: 'LitServe', pytriton: 'Triton (PyTriton)' } as const;
export type Peer = keyof typeof PEERS;

/** One server under one load. */
export interface Contender {
  readonly name: string;
  readonly server: Server;
  readonly protocol: LoadProtocol;
  readonly concurrency: number;
}

export interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsPerRequest: number;
}

export const FIGURE_COLUMNS = ['server', 'requests/s', 'p50 ms', 'p99 ms', 'server CPU ms/request'] as const;

export function figureRow(name: string, all: readonly Figures[], msDigits = 1): string[] {
  const cell = (key: keyof Figures, digits: number): string => formatSpread(spreadOf(all.map((each) => each[key])), digits);
  const digits = all.every(({ perSecond }) => perSecond >= 100) ? 0 : 1;
  return [name, cell('perSecond', digits), cell('p50Ms', msDigits), cell('p99Ms', msDigits), cell('cpuMsPerRequest', digits === 0 ? 3 : 2)];
}

/** What stands in `.venv-peers`, made by `npm run bench:peers`. */
export function pythonOf(peer: Peer): string {
  return `.venv-peers/${peer}/bin/python`;
}

export interface Started {
  readonly floor: Server;
  readonly inline: Server;
  readonly process: Server;
  readonly peers: Readonly<Partial<Record<Peer, Server>>>;
}

/** Starts them side by side, runs `body`, and stops them whatever happens. */
export async function withServers<T>(workload: Workload, peers: readonly Peer[], body: (started: Started) => Promise<T>): Promise<T> {
  const running: Server[] = [];
  const start = async (starting: Promise<Server>): Promise<Server> => {
    const server = await starting;
    running.push(server);
    return server;
  };
  const product = (isolation: Isolation): Promise<Server> => start(startProduct({ ...workload, isolation }));
  try {
    const present = peers.filter((peer) => existsSync(pythonOf(peer)));
    const settled = await Promise.allSettled([
      start(startFloor(workload.modelPath)),
      product('inline'),
      product('process'),
      ...present.map((peer) => start(startPeer(PEERS[peer], pythonOf(peer), `test/bench/peers/${peer}_server.py`, workload))),
    ]);
    const [floor, inline, child, ...others] = settled.map((each) => {
      if (each.status === 'rejected') throw each.reason;
      return each.value;
    });
    if (floor === undefined || inline === undefined || child === undefined) throw new Error('Cannot start the servers');
    return await body({ floor, inline, process: child, peers: Object.fromEntries(present.map((peer, index) => [peer, others[index]])) });
  } finally {
    await Promise.all(running.map((server) => server.stop()));
  }
}

export function peersNote(started: Started, peers: readonly Peer[]): string {
  const missing = peers.filter((peer) => started.peers[peer] === undefined).map((peer) => PEERS[peer]);
  return missing.length === 0 ? '' : ` Not here: ${missing.join(', ')} (\`npm run bench:peers\` makes them).`;
}

/** Of load on each before the first round: until then runtimes compile. */
const WARM_UP_SECONDS = 2;

/** Loads all contenders in turn, round by round; each answer is checked before and after each round. Figures are in the order of `contenders`. */
export async function compare(workload: Workload, contenders: readonly Contender[], { rounds, seconds, hold }: BenchEffort): Promise<Figures[][]> {
  const results = contenders.map((): Figures[] => []);
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-bench-'));
  const litserveRequest = join(folder, 'litserve.json');
  writeFileSync(litserveRequest, JSON.stringify({ x: [Array.from(workload.row)] }));
  try {
    for (const contender of contenders) await loadContender(contender, workload, Math.min(WARM_UP_SECONDS, seconds), litserveRequest);
    for (let round = 0; round < rounds; round++) {
      await hold(async () => {
        // Each round starts with another server, so that none always follows the same neighbour.
        for (let turn = 0; turn < contenders.length; turn++) {
          const index = (round + turn) % contenders.length;
          const contender = contenders[index];
          if (contender !== undefined) results[index]?.push(await loadContender(contender, workload, seconds, litserveRequest));
        }
      });
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function loadContender(contender: Contender, workload: Workload, seconds: number, litserveRequest: string): Promise<Figures> {
  const { server, protocol, concurrency } = contender;
  const isGrpc = protocol.startsWith('grpc');
  const url = isGrpc ? `grpc://${server.grpcHost ?? ''}` : protocol === 'litserve' ? `${server.url}/predict` : server.url;
  await checkAnswer(url, protocol, workload);
  const target =
    protocol === 'litserve'
      ? { protocol: 'http', request: litserveRequest }
      : { protocol, model: workload.modelName, shape: `${workload.inputName}:${workload.shape.join(',')}` };
  const [measured] = await generateLoad({
    url,
    ...target,
    concurrency,
    samples: 4,
    duration: seconds,
    warmup: Math.min(1, seconds / 4),
    timeout: 60,
    server_pid: server.pids()[0],
  });
  if (measured?.server === undefined || measured.latency_ms === undefined) throw new Error(`Cannot measure ${server.name}: no answer was right`);
  if (measured.right < measured.sent) throw new Error(`Cannot measure ${server.name}: ${JSON.stringify(measured.failures)} of ${measured.sent}`);
  await checkAnswer(url, protocol, workload);
  return {
    perSecond: measured.requests_per_second,
    p50Ms: measured.latency_ms.p50,
    p99Ms: measured.latency_ms.p99,
    cpuMsPerRequest: measured.server.cpu_ms_per_request,
  };
}

/** Median over the rounds of `key` of one contender by that of another, NaN when either is not there. */
export function ratioOf(key: keyof Figures, ours: readonly Figures[] | undefined, theirs: readonly Figures[] | undefined): number {
  if (ours === undefined || theirs === undefined) return NaN;
  return spreadOf(ours.map((each, round) => each[key] / (theirs[round]?.[key] ?? NaN))).median;
}
