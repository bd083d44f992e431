import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { DIGITS } from './digits-model.ts';
import { column, CONNECTIONS, loadInTurn, ratiosOf, ROUND_COLUMNS, roundCells, type Round } from './digits-rounds.ts';
import type { BenchEffort } from './effort.ts';
import type { CaseReport } from './report.ts';
import { startKServeTransformer, startProduct, startTransformer, type Server } from './servers.ts';
import { spreadOf } from './statistics.ts';

/** Made by `npm run bench:peers`; the variable names another environment that has `kserve`. */
const PYTHON = process.env['KSERVE_BENCH_PYTHON'] ?? resolve('.venv-peers/kserve/bin/python');

/** Requests per second through a transformer that changes nothing, against KServe's Python SDK before the same predictor. */
export async function runTransformerCase(effort: BenchEffort): Promise<CaseReport> {
  const predictor = await startProduct({ ...DIGITS, isolation: 'inline' });
  const servers: Server[] = [];
  try {
    const host = predictor.grpcHost ?? '';
    for (const isolation of ['inline', 'process'] as const) servers.push(await startTransformer(DIGITS.modelName, host, isolation));
    if (existsSync(PYTHON)) servers.push(await startKServeTransformer(PYTHON, DIGITS.modelName, host));
    return toReport(servers, await loadInTurn(servers, effort), effort);
  } finally {
    for (const server of [...servers, predictor]) await server.stop();
  }
}

function toReport(servers: readonly Server[], results: readonly Round[][], { rounds, seconds }: BenchEffort): CaseReport {
  const [inline = [], separate = [], theirs = []] = results;
  const peer =
    theirs.length === 0
      ? 'There is no Python with KServe here (npm run bench:peers makes one), so nothing is compared.'
      : 'KServe answers with its Python SDK.';
  return {
    title: 'transformer: REST in, gRPC raw out',
    method:
      `A transformer whose handler changes nothing, before one predictor of ours with the digits model: one row as JSON in, raw tensors by gRPC out. ${CONNECTIONS} ` +
      `connections kept alive, ${rounds} rounds of ${seconds} s a transformer in turn. ${peer} CPU is the transformer's own. With inline the handler runs in the server's ` +
      `process, as KServe's does; process is the default.`,
    columns: ['transformer', 'requests/s', ...ROUND_COLUMNS],
    rows: servers.map((server, index) => {
      const all = results[index] ?? [];
      return [server.name, column(all, 'perSecond', 0), ...roundCells(all)];
    }),
    goals:
      theirs.length === 0
        ? []
        : [
            { what: "inline, requests/s of KServe's Python SDK", ratio: median(inline, theirs), limit: 3, isAtLeast: true },
            { what: "process, requests/s of KServe's Python SDK", ratio: median(separate, theirs), limit: 3, isAtLeast: true },
          ],
  };
}

function median(ours: readonly Round[], theirs: readonly Round[]): number {
  return spreadOf(ratiosOf(ours.slice(0, theirs.length), theirs)).median;
}
