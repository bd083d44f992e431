import { compare, FIGURE_COLUMNS, figureRow, peersNote, ratioOf, withServers, type Contender, type Figures, type Peer } from './contenders.ts';
import { known } from './digits-peers-case.ts';
import type { BenchEffort } from './effort.ts';
import { createWorkload, type LoadProtocol } from './reference.ts';
import type { CaseReport, Goal } from './report.ts';

const MODEL_PATH = 'test/bench/models/identity.onnx';
const ELEMENTS = 150_528;

interface Form {
  readonly title: string;
  readonly protocol: LoadProtocol;
  /** The floor knows no gRPC: it is told what its binary REST takes. */
  readonly floorProtocol: LoadProtocol;
  readonly peers: readonly Peer[];
}

const FORMS = {
  json: { title: 'REST JSON', protocol: 'rest', floorProtocol: 'rest', peers: ['kserve', 'mlserver', 'litserve', 'pytriton'] },
  binary: { title: 'REST binary', protocol: 'rest-binary', floorProtocol: 'rest-binary', peers: ['kserve', 'pytriton'] },
  grpc: { title: 'gRPC raw', protocol: 'grpc', floorProtocol: 'rest-binary', peers: ['kserve', 'mlserver', 'pytriton'] },
} satisfies Record<string, Form>;

/** 150,528 FP32 in and out of a model that does nothing: what the protocol costs. */
export function createIdentityCase(form: keyof typeof FORMS): (effort: BenchEffort) => Promise<CaseReport> {
  const { title, protocol, floorProtocol, peers }: Form = FORMS[form];
  return async (effort) => {
    const workload = await createWorkload('identity', MODEL_PATH, MODEL_PATH, [1, ELEMENTS]);
    return await withServers(workload, peers, async (started) => {
      const { floor, inline, process, peers: there } = started;
      const contenders: Contender[] = [
        { name: floorProtocol === protocol ? floor.name : `${floor.name}, REST binary`, server: floor, protocol: floorProtocol, concurrency: 1 },
        ...[inline, process].map((server): Contender => ({ name: server.name, server, protocol, concurrency: 1 })),
        ...Object.entries(there).map(([peer, server]): Contender => {
          return { name: server.name, server, protocol: peer === 'litserve' ? 'litserve' : protocol, concurrency: 1 };
        }),
      ];
      const figures = await compare(workload, contenders, effort);
      const find = (server: Contender['server'] | undefined): Figures[] | undefined =>
        figures[contenders.findIndex((each) => each.server === server)];
      const ratio = (server: Contender['server'] | undefined): number => ratioOf('cpuMsPerRequest', find(inline), find(server));
      const goals: Goal[] =
        form === 'json'
          ? [{ what: "inline, CPU of MLServer's", ratio: ratio(there.mlserver), limit: 0.7, isAtLeast: false }]
          : [
              { what: 'inline, CPU of the floor', ratio: ratio(floor), limit: 2, isAtLeast: false },
              ...Object.values(there).map((server) => ({ what: `inline, CPU of ${server.name}`, ratio: ratio(server), limit: 1, isAtLeast: false })),
            ];
      return {
        title: `identity: 602 KB, ${title}`,
        method:
          `A model that gives back its input, 1 x ${ELEMENTS.toLocaleString('en')} FP32, one request at a time, from \`kserve-node bench\`; ` +
          `${effort.rounds} rounds of ${effort.seconds} s a server in turn.${peersNote(started, peers)}`,
        columns: FIGURE_COLUMNS,
        rows: contenders.map(({ name }, index) => figureRow(name, figures[index] ?? [])),
        goals: known(goals),
      };
    });
  };
}
