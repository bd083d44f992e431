import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchEffort } from './effort.ts';
import { generateLoad } from './generator.ts';
import type { CaseReport } from './report.ts';
import { startProduct, type Isolation } from './servers.ts';
import { SLOW, slowBody } from './slow-model.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** Long enough that the model and not the load generator bounds the pace, which is to send three times of it. */
const RUN_MS = 8;
const TIMES = 3;
const PEAK_CONCURRENCY = 16;
const MAX_IN_FLIGHT = 4000;

/** What is still answered rightly when three times as much comes as the server can do. */
export async function runOverloadCase({ rounds, seconds, hold }: BenchEffort): Promise<CaseReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-overload-'));
  const rows: (readonly string[])[] = [];
  const goals: CaseReport['goals'][number][] = [];
  try {
    for (const isolation of ['inline', 'process'] satisfies Isolation[]) {
      const server = await startProduct({ ...SLOW, isolation });
      try {
        const request = join(folder, `${isolation}.json`);
        writeFileSync(request, await slowBody(server.url, RUN_MS));
        const common = { url: server.url, protocol: 'rest', model: SLOW.modelName, request, timeout: 60 };
        const [peaks, goodputs, refused]: [number[], number[], number[]] = [[], [], []];
        for (let round = 0; round < rounds; round++) {
          await hold(async () => {
            const [peak] = await generateLoad({ ...common, concurrency: PEAK_CONCURRENCY, warmup: 0.5, duration: seconds });
            const rate = TIMES * (peak?.requests_per_second ?? NaN);
            const [over] = await generateLoad({
              ...common,
              rate: Math.round(rate),
              arrivals: 'poisson',
              max_in_flight: MAX_IN_FLIGHT,
              warmup: 0.5,
              duration: seconds,
            });
            if (peak === undefined || over === undefined) throw new Error('Cannot measure: nothing came back');
            peaks.push(peak.requests_per_second);
            goodputs.push(over.requests_per_second);
            refused.push((over.sent - over.right) / over.sent);
          });
        }
        const ratio = spreadOf(goodputs.map((goodput, round) => goodput / (peaks[round] ?? NaN)));
        rows.push([
          server.name,
          formatSpread(spreadOf(peaks)),
          formatSpread(spreadOf(goodputs)),
          formatSpread(ratio, 2),
          formatSpread(spreadOf(refused), 2),
        ]);
        goals.push({ what: `${server.name}, goodput of the peak`, ratio: ratio.median, limit: 0.8, isAtLeast: true });
      } finally {
        await server.stop();
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return {
    title: `overload: ${TIMES} times what the server can do`,
    method:
      `A model that computes for about ${RUN_MS} ms. The peak is that of ${PEAK_CONCURRENCY} requests under way at any time; then ${TIMES} times as many a second come, whatever the ` +
      `server does (Poisson, at most ${MAX_IN_FLIGHT} under way). Goodput are right answers a second, up to the last; what is over is refused with 429. ${rounds} rounds of ${seconds} s each.`,
    columns: ['server', 'peak requests/s', 'goodput', 'of the peak', 'share refused'],
    rows,
    goals,
  };
}
