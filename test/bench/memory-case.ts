import { setTimeout as sleep } from 'node:timers/promises';
import { checkDigitsAnswer, DIGITS, DIGITS_BODY, INFER_PATH } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { applyLoad } from './load.ts';
import { rssMiB } from './process-tree.ts';
import type { CaseReport } from './report.ts';
import { startFloor, startProduct, type Server } from './servers.ts';

const CONNECTIONS = 16;
/** Idle time before memory is read, for what the collector does at leisure. */
const SETTLE_MS = 1000;

/** Memory after many requests against memory after few. */
export async function runMemoryCase({ memoryRequests }: BenchEffort): Promise<CaseReport> {
  const [few, many] = memoryRequests;
  const starts = [
    () => startFloor(DIGITS.modelPath),
    () => startProduct({ ...DIGITS, isolation: 'inline' }),
    () => startProduct({ ...DIGITS, isolation: 'process' }),
  ];
  const measured: { readonly name: string; readonly readings: readonly number[] }[] = [];
  for (const start of starts) {
    const server = await start();
    try {
      measured.push({ name: server.name, readings: [await rssOf(server), await rssAfter(server, few), await rssAfter(server, many - few)] });
    } finally {
      await server.stop();
    }
  }
  const growth = (readings: readonly number[]): number => (readings[2] ?? NaN) / (readings[1] ?? NaN);
  return {
    title: 'memory: resident size',
    method: `The digits load of above by number of requests; resident size of the whole process tree after ${SETTLE_MS / 1000} s of rest.`,
    columns: ['server', 'MiB when ready', `after ${few}`, `after ${many}`, 'growth'],
    rows: measured.map(({ name, readings }) => [name, ...readings.map((mib) => mib.toFixed(0)), growth(readings).toFixed(2)]),
    goals: measured.slice(1).map(({ name, readings }) => {
      return { what: `${name}, size after ${many} of size after ${few}`, ratio: growth(readings), limit: 1.1, isAtLeast: false };
    }),
  };
}

async function rssAfter(server: Server, amount: number): Promise<number> {
  await applyLoad({ url: server.url + INFER_PATH, body: DIGITS_BODY, connections: CONNECTIONS, amount });
  await checkDigitsAnswer(server.url);
  return rssOf(server);
}

async function rssOf(server: Server): Promise<number> {
  await sleep(SETTLE_MS);
  return rssMiB(server.pids());
}
