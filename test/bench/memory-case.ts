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
  return await measureMemory('memory: resident size', memoryRequests, 1.1);
}

/** The same over many more requests, when everything has been used that is ever used. */
export async function runSoakMemoryCase({ soakRequests }: BenchEffort): Promise<CaseReport> {
  return await measureMemory('soak-memory: resident size', soakRequests, 1.05);
}

async function measureMemory(title: string, [few, many]: readonly [number, number], limit: number): Promise<CaseReport> {
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
    title,
    method: `The digits load of above by number of requests; resident size of the whole process tree after ${SETTLE_MS / 1000} s of rest.`,
    columns: ['server', 'MiB when ready', `after ${few}`, `after ${many}`, 'growth'],
    rows: measured.map(({ name, readings }) => [name, ...readings.map((mib) => mib.toFixed(0)), growth(readings).toFixed(2)]),
    goals: measured.slice(1).map(({ name, readings }) => {
      return { what: `${name}, size after ${many} of size after ${few}`, ratio: growth(readings), limit, isAtLeast: false };
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
