import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchEffort } from './effort.ts';
import { post } from './http-call.ts';
import { cpuMs } from './process-tree.ts';
import type { CaseReport } from './report.ts';
import { startProduct, type Isolation, type Server } from './servers.ts';
import { SLOW, slowBody } from './slow-model.ts';
import { formatSpread, spreadOf, type Spread } from './statistics.ts';

/** Much longer than anything here waits. */
const RUN_MS = 30_000;
const GIVE_UP_AFTER_MS = 1000;
const SAMPLE_MS = 10;
const WATCH_MS = 1500;
/** CPU that the server must have taken when it is given up: it was computing. */
const BUSY_CPU_MS = 100;
/** Computing has stopped when the processes take no more CPU than this until the end of the watch: a busy machine only slows what goes on. */
const QUIET_CPU_MS = 20;
const GOAL_MS = 100;

/** How long the server goes on computing after its client has left, and after the request's own time is over. */
export async function runCancelCase({ rounds }: BenchEffort): Promise<CaseReport> {
  const rows: (readonly string[])[] = [];
  const goals: CaseReport['goals'][number][] = [];
  for (const isolation of ['inline', 'process'] satisfies Isolation[]) {
    const server = await startProduct({ ...SLOW, isolation });
    try {
      const body = await slowBody(server.url, RUN_MS);
      const timeoutBody = body.replace(/^\{/, `{"parameters":{"timeout":${GIVE_UP_AFTER_MS * 1000}},`);
      const aborted = await repeat(rounds, () => stopAfterAbort(server, body));
      const timedOut = await repeat(rounds, () => stopAfterTimeout(server, timeoutBody));
      for (const [what, spread] of [
        ['client leaves', aborted],
        ['request times out', timedOut],
      ] as const) {
        rows.push([server.name, what, formatSpread(spread)]);
        goals.push({ what: `${server.name}, ${what}: ms until it stops, of ${GOAL_MS}`, ratio: spread.median / GOAL_MS, limit: 1, isAtLeast: false });
      }
    } finally {
      await server.stop();
    }
  }
  return {
    title: 'cancellation: when the computing stops',
    method:
      `A model of many small nodes that would compute for about ${RUN_MS / 1000} s is given up after ${GIVE_UP_AFTER_MS / 1000} s: the client closes its connection, or the request's timeout ends. ` +
      `Told is the time after which the process tree takes at most ${QUIET_CPU_MS} ms of CPU in the rest of ${WATCH_MS} ms (0: less than that); ${rounds} rounds.`,
    columns: ['server', 'given up by', 'ms until it stops'],
    rows,
    goals,
  };
}

async function repeat(rounds: number, measure: () => Promise<number>): Promise<Spread> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    samples.push(await measure());
    await sleep(WATCH_MS);
  }
  return spreadOf(samples);
}

async function stopAfterAbort(server: Server, body: string): Promise<number> {
  const leaver = new AbortController();
  const pids = server.pids();
  const before = cpuMs(pids);
  const answer = post(server.url + SLOW.inferPath, body, leaver.signal).then(
    ({ status, text }) => `${status} ${text.slice(0, 200)}`,
    () => 'left',
  );
  await sleep(GIVE_UP_AFTER_MS);
  checkBusy(server, cpuMs(pids) - before);
  leaver.abort();
  const stopped = await timeUntilQuiet(pids);
  const outcome = await answer;
  if (outcome !== 'left') throw new Error(`Cannot measure: the model answered before the client left: ${outcome}`);
  return stopped;
}

/** `body` asks the server to give up after GIVE_UP_AFTER_MS. */
async function stopAfterTimeout(server: Server, body: string): Promise<number> {
  const pids = server.pids();
  const before = cpuMs(pids);
  const answer = post(server.url + SLOW.inferPath, body);
  await sleep(GIVE_UP_AFTER_MS);
  checkBusy(server, cpuMs(pids) - before);
  const stopped = await timeUntilQuiet(pids);
  const { status, text } = await answer;
  if (status !== 504) throw new Error(`Cannot measure: expected 504, got ${status} ${text.slice(0, 200)}`);
  return stopped;
}

function checkBusy(server: Server, burntMs: number): void {
  if (burntMs < BUSY_CPU_MS) throw new Error(`Cannot measure: ${server.name} took only ${burntMs} ms of CPU before it was given up`);
}

async function timeUntilQuiet(pids: readonly number[]): Promise<number> {
  const start = performance.now();
  const samples: { readonly atMs: number; readonly cpu: number }[] = [];
  while (performance.now() - start < WATCH_MS) {
    samples.push({ atMs: performance.now() - start, cpu: cpuMs(pids) });
    await sleep(SAMPLE_MS);
  }
  const last = samples.at(-1);
  for (const { atMs, cpu } of samples) if (last !== undefined && last.cpu - cpu <= QUIET_CPU_MS && last.atMs - atMs >= QUIET_CPU_MS * 10) return atMs;
  return WATCH_MS;
}
