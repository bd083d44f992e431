import { column, CONNECTIONS, loadInTurn, ratiosOf, ROUND_COLUMNS, roundCells, type Round } from './digits-rounds.ts';
import { DIGITS } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import type { CaseReport } from './report.ts';
import { startFloor, startProduct, type Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** Requests per second of one digits row as JSON, against the floor. */
export async function runDigitsCase(effort: BenchEffort): Promise<CaseReport> {
  const servers: Server[] = [];
  try {
    servers.push(await startFloor(DIGITS.modelPath));
    servers.push(await startProduct({ ...DIGITS, isolation: 'inline' }));
    servers.push(await startProduct({ ...DIGITS, isolation: 'process' }));
    return toReport(servers, await loadInTurn(servers, effort), effort);
  } finally {
    for (const server of servers) await server.stop();
  }
}

function toReport(servers: readonly Server[], results: readonly Round[][], { rounds, seconds }: BenchEffort): CaseReport {
  const [floor = [], inline = []] = results;
  return {
    title: 'digits: one row, REST JSON',
    method:
      `The digits model, one row of 64 numbers as JSON, ${CONNECTIONS} connections kept alive, ${rounds} rounds of ${seconds} s a server in turn. ` +
      "The floor is bare node:http, JSON.parse and onnxruntime-node's own run(). Answers are checked before and after each round.",
    columns: ['server', 'requests/s', 'of the floor', ...ROUND_COLUMNS],
    rows: servers.map((server, index) => {
      const all = results[index] ?? [];
      return [server.name, column(all, 'perSecond', 0), formatSpread(spreadOf(ratiosOf(all, floor)), 2), ...roundCells(all)];
    }),
    goals: [{ what: 'inline, requests/s of the floor', ratio: spreadOf(ratiosOf(inline, floor)).median, limit: 0.5, isAtLeast: true }],
  };
}
