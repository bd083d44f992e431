import { compare, FIGURE_COLUMNS, figureRow, peersNote, ratioOf, withServers, type Contender, type Figures, type Peer } from './contenders.ts';
import { known } from './digits-peers-case.ts';
import { runEngineLoop } from './engine-loop.ts';
import type { BenchEffort } from './effort.ts';
import { createWorkload, type LoadProtocol } from './reference.ts';
import type { CaseReport } from './report.ts';

const MODEL_PATH = 'test/bench/models/conv.onnx';
const SHAPE = [1, 3, 224, 224];

/** A convolutional network, 10 to 20 ms of one processor a row: what is left of the engine's own pace behind a server. */
export async function runConvCase(effort: BenchEffort): Promise<CaseReport> {
  const peers: readonly Peer[] = ['kserve', 'mlserver', 'pytriton'];
  const workload = await createWorkload('conv', MODEL_PATH, MODEL_PATH, SHAPE);
  return await withServers(workload, peers, async (started) => {
    const { floor, inline, process, peers: there } = started;
    const at = (server: Contender['server'], protocol: LoadProtocol, concurrencies: readonly number[]): Contender[] =>
      concurrencies.map((concurrency) => ({
        name: `${server.name}, ${protocol === 'grpc' ? 'gRPC' : 'REST binary'} c${concurrency}`,
        server,
        protocol,
        concurrency,
      }));
    const contenders = [
      ...at(floor, 'rest-binary', [1, 8]),
      ...at(inline, 'rest-binary', [1, 8, 32]),
      ...at(inline, 'grpc', [8, 32]),
      ...at(process, 'rest-binary', [8]),
      ...Object.values(there).flatMap((server) => at(server, 'grpc', [8, 32])),
    ];
    const loops = { one: [] as Figures[], all: [] as Figures[], two: [] as Figures[] };
    // In the same hold as the servers' round: a machine is not the same a minute later.
    const figures = await compare(workload, contenders, {
      ...effort,
      hold: (part) =>
        effort.hold(async () => {
          const loop = { modelPath: MODEL_PATH, seconds: effort.seconds, shape: SHAPE };
          loops.one.push(await runEngineLoop({ ...loop, callers: 1, threads: 1 }));
          loops.all.push(await runEngineLoop({ ...loop, callers: 1, threads: 2 }));
          loops.two.push(await runEngineLoop({ ...loop, callers: 2, threads: 1 }));
          return await part();
        }),
    });
    const find = (protocol: LoadProtocol, concurrency: number): Figures[] | undefined =>
      figures[contenders.findIndex((each) => each.server === inline && each.protocol === protocol && each.concurrency === concurrency)];
    const best = loops.all.map((all, round) => {
      const two = loops.two[round] ?? all;
      return all.perSecond > two.perSecond ? all : two;
    });
    const pace = (concurrency: number): readonly { what: string; ratio: number; limit: number; isAtLeast: boolean }[] => [
      {
        what: `inline, c${concurrency}, best form: rows/s of the engine's on one thread`,
        ratio: Math.max(...(['rest-binary', 'grpc'] as const).map((protocol) => ratioOf('perSecond', find(protocol, concurrency), loops.one))),
        limit: 0.95,
        isAtLeast: true,
      },
      {
        what: `inline, c${concurrency}, best form: rows/s of the engine's on both processors, which the servers share with the load`,
        ratio: Math.max(...(['rest-binary', 'grpc'] as const).map((protocol) => ratioOf('perSecond', find(protocol, concurrency), best))),
        limit: 0.95,
        isAtLeast: true,
      },
    ];
    return {
      title: 'conv: a network that computes',
      method:
        `A convolutional network, [1,3,224,224] a request (602 KB), from \`kserve-node bench\`; beside it onnxruntime-node alone in a loop, with one caller and one thread, one caller and ` +
        `two threads, two callers and one thread each. The product divides the processors by itself, the others run one thread as their sessions are made. ${effort.rounds} rounds of ` +
        `${effort.seconds} s in turn.${peersNote(started, peers)}`,
      columns: FIGURE_COLUMNS,
      rows: [
        figureRow('engine, 1 caller, 1 thread', loops.one),
        figureRow('engine, 1 caller, 2 threads', loops.all),
        figureRow('engine, 2 callers, 1 thread', loops.two),
        ...contenders.map(({ name }, index) => figureRow(name, figures[index] ?? [])),
      ],
      goals: known([
        ...pace(8),
        ...pace(32),
        {
          what: "inline, c1: latency of the engine's with as many threads",
          ratio: ratioOf('p50Ms', find('rest-binary', 1), loops.all),
          limit: 1.05,
          isAtLeast: false,
        },
      ]),
    };
  });
}
