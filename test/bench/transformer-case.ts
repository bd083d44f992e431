import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { checkDigitsAnswer, DIGITS, DIGITS_BODY, INFER_PATH } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { applyLoad } from './load.ts';
import { cpuMs } from './process-tree.ts';
import type { CaseReport } from './report.ts';
import { startKServeTransformer, startProduct, startTransformer, type Server } from './servers.ts';
import { formatSpread, spreadOf } from './statistics.ts';

const CONNECTIONS = 16;

/** Made by test/bench/peers/setup.sh; the variable names another environment that has `kserve`. */
const PYTHON = process.env['KSERVE_BENCH_PYTHON'] ?? resolve('.venv/bench-kserve-transformer/bin/python');

interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsPerRequest: number;
}

/** Requests per second through a transformer that changes nothing, against KServe's Python SDK before the same predictor. */
export async function runTransformerCase({ rounds, seconds }: BenchEffort): Promise<CaseReport> {
  const predictor = await startProduct({ ...DIGITS, isolation: 'inline' });
  const servers: Server[] = [];
  try {
    const host = predictor.grpcHost ?? '';
    servers.push(await startTransformer(DIGITS.modelName, host));
    if (existsSync(PYTHON)) servers.push(await startKServeTransformer(PYTHON, DIGITS.modelName, host));
    for (const server of servers) await loadOnce(server, 2);
    const results = servers.map((): Round[] => []);
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < servers.length; turn++) {
        const index = (round + turn) % servers.length;
        const server = servers[index];
        if (server !== undefined) results[index]?.push(await loadOnce(server, seconds));
      }
    }
    return toReport(servers, results, rounds, seconds);
  } finally {
    for (const server of [...servers, predictor]) await server.stop();
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
  const [ours = [], theirs = []] = results;
  const column = (all: readonly Round[], key: keyof Round, digits: number): string => formatSpread(spreadOf(all.map((round) => round[key])), digits);
  const ratios = theirs.map((round, index) => (ours[index]?.perSecond ?? NaN) / round.perSecond);
  const peer =
    theirs.length === 0
      ? 'There is no Python with KServe here (test/bench/peers/setup.sh makes one), so nothing is compared.'
      : 'KServe answers with its Python SDK.';
  return {
    title: 'transformer: REST in, gRPC raw out',
    method:
      `A transformer whose handler changes nothing, before one predictor of ours with the digits model: one row as JSON in, raw tensors by gRPC out. ${CONNECTIONS} ` +
      `connections kept alive, ${rounds} rounds of ${seconds} s a transformer in turn. ${peer} CPU is the transformer's own.`,
    columns: ['transformer', 'requests/s', 'p50 ms', 'p99 ms', 'CPU ms/request'],
    rows: servers.map((server, index) => {
      const all = results[index] ?? [];
      return [server.name, column(all, 'perSecond', 0), column(all, 'p50Ms', 0), column(all, 'p99Ms', 0), column(all, 'cpuMsPerRequest', 3)];
    }),
    goals: theirs.length === 0 ? [] : [{ what: "requests/s of KServe's Python SDK", ratio: spreadOf(ratios).median, limit: 3, isAtLeast: true }],
  };
}
