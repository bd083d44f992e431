import { checkDigitsAnswer, DIGITS, DIGITS_BODY, INFER_PATH } from './digits-model.ts';
import { applyLoad } from './load.ts';
import { cpuMs } from './process-tree.ts';
import type { CaseReport } from './report.ts';
import { startFloor, startProduct, type Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';
import type { BenchEffort } from './effort.ts';

const CONNECTIONS = 16;

interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsPerRequest: number;
}

/** Requests per second of one digits row as JSON, against the floor. */
export async function runDigitsCase({ rounds, seconds }: BenchEffort): Promise<CaseReport> {
  const servers: Server[] = [];
  try {
    servers.push(await startFloor(DIGITS.modelPath));
    servers.push(await startProduct({ ...DIGITS, isolation: 'inline' }));
    servers.push(await startProduct({ ...DIGITS, isolation: 'process' }));
    for (const server of servers) await loadOnce(server, 2);
    const results = servers.map((): Round[] => []);
    for (let round = 0; round < rounds; round++) {
      // Each round starts with another server, so that none always follows the same neighbour.
      for (let turn = 0; turn < servers.length; turn++) {
        const index = (round + turn) % servers.length;
        const server = servers[index];
        if (server !== undefined) results[index]?.push(await loadOnce(server, seconds));
      }
    }
    return toReport(servers, results, rounds, seconds);
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function loadOnce(server: Server, seconds: number): Promise<Round> {
  await checkDigitsAnswer(server.url);
  const pids = server.pids();
  const before = cpuMs(pids);
  const result = await applyLoad({ url: server.url + INFER_PATH, body: DIGITS_BODY, connections: CONNECTIONS, seconds });
  const cpuMsPerRequest = (cpuMs(pids) - before) / result.requests;
  await checkDigitsAnswer(server.url);
  return { perSecond: result.requests / result.seconds, p50Ms: result.p50Ms, p99Ms: result.p99Ms, cpuMsPerRequest };
}

function toReport(servers: readonly Server[], results: readonly Round[][], rounds: number, seconds: number): CaseReport {
  const [floor = [], inline = []] = results;
  const ratios = (ours: readonly Round[]): number[] => ours.map((round, index) => round.perSecond / (floor[index]?.perSecond ?? NaN));
  const column = (all: readonly Round[], key: keyof Round, digits: number): string => formatSpread(spreadOf(all.map((round) => round[key])), digits);
  return {
    title: 'digits: one row, REST JSON',
    method:
      `The digits model, one row of 64 numbers as JSON, ${CONNECTIONS} connections kept alive, ${rounds} rounds of ${seconds} s a server in turn. ` +
      "The floor is bare node:http, JSON.parse and onnxruntime-node's own run(). Answers are checked before and after each round.",
    columns: ['server', 'requests/s', 'of the floor', 'p50 ms', 'p99 ms', 'server CPU ms/request'],
    rows: servers.map((server, index) => {
      const all = results[index] ?? [];
      return [
        server.name,
        column(all, 'perSecond', 0),
        formatSpread(spreadOf(ratios(all)), 2),
        column(all, 'p50Ms', 0),
        column(all, 'p99Ms', 0),
        column(all, 'cpuMsPerRequest', 3),
      ];
    }),
    goals: [{ what: 'inline, requests/s of the floor', ratio: spreadOf(ratios(inline)).median, limit: 0.5, isAtLeast: true }],
  };
}
