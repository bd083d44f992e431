import { checkDigitsAnswer, DIGITS_BODY, INFER_PATH } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { applyLoad } from './load.ts';
import { cpuMs } from './process-tree.ts';
import type { Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';

export const CONNECTIONS = 16;

/** What one server did with the digits load for some seconds. */
export interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsPerRequest: number;
}

/** Optimised code comes late: with two seconds, the first round was a third slower than the second. */
const WARM_UP_SECONDS = 8;

/** Loads the servers in turn, all of them up all the time; the rounds of each, in order of `servers`. Answers are checked before and after each round. */
export async function loadInTurn(servers: readonly Server[], { rounds, seconds, hold }: BenchEffort): Promise<Round[][]> {
  for (const server of servers) await loadOnce(server, WARM_UP_SECONDS);
  const results = servers.map((): Round[] => []);
  for (let round = 0; round < rounds; round++) {
    await hold(async () => {
      // Each round starts with another server, so that none always follows the same neighbour.
      for (let turn = 0; turn < servers.length; turn++) {
        const index = (round + turn) % servers.length;
        const server = servers[index];
        if (server !== undefined) results[index]?.push(await loadOnce(server, seconds));
      }
    });
  }
  return results;
}

/** Requests per second of `ours` by those of `other`, round by round. */
export function ratiosOf(ours: readonly Round[], other: readonly Round[]): number[] {
  return ours.map((round, index) => round.perSecond / (other[index]?.perSecond ?? NaN));
}

export const ROUND_COLUMNS = ['p50 ms', 'p99 ms', 'server CPU ms/request'] as const;

export function roundCells(all: readonly Round[]): string[] {
  return [column(all, 'p50Ms', 0), column(all, 'p99Ms', 0), column(all, 'cpuMsPerRequest', 3)];
}

export function column(all: readonly Round[], key: keyof Round, digits: number): string {
  return formatSpread(spreadOf(all.map((round) => round[key])), digits);
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
