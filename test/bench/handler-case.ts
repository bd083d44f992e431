import { column, CONNECTIONS, loadInTurn, ratiosOf, ROUND_COLUMNS, roundCells, type Round } from './digits-rounds.ts';
import { DIGITS } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import type { CaseReport } from './report.ts';
import { startProduct, type Isolation, type Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';

const ISOLATIONS: readonly Isolation[] = ['inline', 'process'];

/** Requests per second with a handler whose preprocess and postprocess do nothing, against none in the same isolation mode. */
export async function runHandlerCase(effort: BenchEffort): Promise<CaseReport> {
  const servers: Server[] = [];
  try {
    for (const isolation of ISOLATIONS) {
      servers.push(await startProduct({ ...DIGITS, isolation }));
      const handled = await startProduct({ ...DIGITS, isolation, flags: ['--handler=test/bench/no-op-handler.mjs'] });
      servers.push({ ...handled, name: `${handled.name}, handler` });
    }
    return toReport(servers, await loadInTurn(servers, effort), effort);
  } finally {
    for (const server of servers) await server.stop();
  }
}

function toReport(servers: readonly Server[], results: readonly Round[][], { rounds, seconds }: BenchEffort): CaseReport {
  const plainOf = (index: number): readonly Round[] => results[index - (index % 2)] ?? [];
  return {
    title: 'handler: user code that does nothing',
    method:
      `The digits load (one row as JSON, ${CONNECTIONS} connections kept alive, ${rounds} rounds of ${seconds} s a server in turn) with and without a handler whose preprocess ` +
      'and postprocess give back what they get.',
    columns: ['server', 'requests/s', 'of no handler', ...ROUND_COLUMNS],
    rows: servers.map((server, index) => {
      const all = results[index] ?? [];
      return [server.name, column(all, 'perSecond', 0), formatSpread(spreadOf(ratiosOf(all, plainOf(index))), 2), ...roundCells(all)];
    }),
    goals: ISOLATIONS.map((isolation, place) => ({
      what: `${isolation}, requests/s of the same without a handler`,
      ratio: spreadOf(ratiosOf(results[2 * place + 1] ?? [], results[2 * place] ?? [])).median,
      limit: 0.9,
      isAtLeast: true,
    })),
  };
}
