import { compare, FIGURE_COLUMNS, figureRow, peersNote, ratioOf, withServers, type Contender, type Figures, type Peer } from './contenders.ts';
import { DIGITS } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { createWorkload, type LoadProtocol } from './reference.ts';
import type { CaseReport, Goal } from './report.ts';

const CONCURRENCY = 16;

const WHAT =
  'The digits model, one row of 64 numbers a request, four different ones in turn, 16 under way at any time, from `kserve-node bench`. CPU is that of the whole process tree.';

/** One digits row as JSON: CPU and throughput against the floor and the peers. */
export async function runDigitsPeersRestCase(effort: BenchEffort): Promise<CaseReport> {
  const peers: readonly Peer[] = ['kserve', 'mlserver', 'litserve', 'pytriton'];
  const workload = await createWorkload(DIGITS.modelName, DIGITS.modelDir, DIGITS.modelPath, [1, 64]);
  return await withServers(workload, peers, async (started) => {
    const of = (server: Contender['server'] | undefined, protocol: LoadProtocol = 'rest'): Contender[] =>
      server === undefined ? [] : [{ name: server.name, server, protocol, concurrency: CONCURRENCY }];
    const { floor, inline, process, peers: there } = started;
    const contenders = [
      ...of(floor),
      ...of(inline),
      ...of(process),
      ...of(there.kserve),
      ...of(there.mlserver),
      ...of(there.litserve, 'litserve'),
      ...of(there.pytriton),
    ];
    const figures = await compare(workload, contenders, effort);
    const find = (server: Contender['server'] | undefined): Figures[] | undefined => figures[contenders.findIndex((each) => each.server === server)];
    const [ours, least] = [find(inline), find(floor)];
    return {
      title: 'digits-peers: one row, REST JSON',
      method: `${WHAT} ${effort.rounds} rounds of ${effort.seconds} s a server in turn; answers are checked before and after each.${peersNote(started, peers)}`,
      columns: FIGURE_COLUMNS,
      rows: contenders.map(({ name }, index) => figureRow(name, figures[index] ?? [])),
      goals: known([
        { what: 'inline, CPU of the floor', ratio: ratioOf('cpuMsPerRequest', ours, least), limit: 2, isAtLeast: false },
        { what: 'process, CPU of the floor', ratio: ratioOf('cpuMsPerRequest', find(process), least), limit: 3, isAtLeast: false },
        { what: "inline, CPU of Triton's", ratio: ratioOf('cpuMsPerRequest', ours, find(there.pytriton)), limit: 0.25, isAtLeast: false },
        { what: "inline, CPU of KServe's SDK", ratio: ratioOf('cpuMsPerRequest', ours, find(there.kserve)), limit: 1 / 7.5, isAtLeast: false },
        { what: "inline, requests/s of Triton's", ratio: ratioOf('perSecond', ours, find(there.pytriton)), limit: 3.5, isAtLeast: true },
      ]),
    };
  });
}

/** The same row by gRPC, raw and typed. */
export async function runDigitsPeersGrpcCase(effort: BenchEffort): Promise<CaseReport> {
  const peers: readonly Peer[] = ['kserve', 'mlserver', 'pytriton'];
  const protocols = ['grpc', 'grpc-typed'] as const;
  const workload = await createWorkload(DIGITS.modelName, DIGITS.modelDir, DIGITS.modelPath, [1, 64]);
  return await withServers(workload, peers, async (started) => {
    const servers = [started.inline, started.process, ...Object.values(started.peers)];
    const contenders = protocols.flatMap((protocol) =>
      servers.map((server): Contender => {
        return { name: `${server.name}, ${protocol === 'grpc' ? 'raw' : 'typed'}`, server, protocol, concurrency: CONCURRENCY };
      }),
    );
    const figures = await compare(workload, contenders, effort);
    const find = (server: Contender['server'] | undefined, protocol: LoadProtocol): Figures[] | undefined =>
      figures[contenders.findIndex((each) => each.server === server && each.protocol === protocol)];
    return {
      title: 'digits-peers: one row, gRPC',
      method: `${WHAT} All on one HTTP/2 connection. ${effort.rounds} rounds of ${effort.seconds} s in turn.${peersNote(started, peers)}`,
      columns: FIGURE_COLUMNS,
      rows: contenders.map(({ name }, index) => figureRow(name, figures[index] ?? [])),
      goals: known(
        protocols.map((protocol) => ({
          what: `inline, ${protocol === 'grpc' ? 'raw' : 'typed'}, CPU of KServe's SDK`,
          ratio: ratioOf('cpuMsPerRequest', find(started.inline, protocol), find(started.peers.kserve, protocol)),
          limit: 0.25,
          isAtLeast: false,
        })),
      ),
    };
  });
}

/** Without those whose other side is not here. */
export function known(goals: readonly Goal[]): readonly Goal[] {
  return goals.filter(({ ratio }) => !Number.isNaN(ratio));
}
