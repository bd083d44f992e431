import { setTimeout as sleep } from 'node:timers/promises';
import { DIGITS, INFER_PATH } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { post } from './http-call.ts';
import { probeWhile } from './probe.ts';
import { cpuMs } from './process-tree.ts';
import type { CaseReport } from './report.ts';
import { startBurner, startIdle, startProduct, type Isolation, type Server } from './servers.ts';
import { SLOW, slowBody } from './slow-model.ts';
import { percentile, formatSpread, spreadOf } from './statistics.ts';

const LIVE_PATH = '/v2/health/live';
const RUN_MS = 3000;
/** The greatest body that the server takes by default. */
const LARGE_BODY_BYTES = 64 * 2 ** 20;

/** What one pair of servers showed: all latencies of each round. */
interface Pair {
  readonly name: string;
  readonly work: string;
  readonly ours: number[][];
  readonly idle: number[][];
  readonly threads: number[];
}

/** Liveness while the server is busy, against an idle server beside something equally busy. */
export async function runLivenessCase({ rounds }: BenchEffort): Promise<CaseReport> {
  const pairs: Pair[] = [];
  const idle = await startIdle();
  try {
    for (const isolation of ['inline', 'process'] satisfies Isolation[]) {
      const slow = await startProduct({ ...SLOW, isolation });
      try {
        const prepare = (): Promise<string> => slowBody(slow.url, RUN_MS);
        pairs.push(await measurePair({ server: slow, idle, rounds, work: 'one request computes', path: SLOW.inferPath, prepare }));
      } finally {
        await slow.stop();
      }
      const digits = await startProduct({ ...DIGITS, isolation });
      try {
        const body = largeBody();
        const prepare = (): Buffer => body;
        pairs.push(await measurePair({ server: digits, idle, rounds, work: '64 MiB of JSON', path: INFER_PATH, prepare }));
      } finally {
        await digits.stop();
      }
    }
  } finally {
    await idle.stop();
  }
  return toReport(pairs, rounds);
}

interface PairPlan {
  readonly server: Server;
  readonly idle: Server;
  readonly rounds: number;
  readonly work: string;
  readonly path: string;
  /** Gives the request of a round; asked anew each time, because how long a model computes depends on the machine's other load. */
  readonly prepare: () => Buffer | string | Promise<string>;
}

async function measurePair({ server, idle, rounds, work, path, prepare }: PairPlan): Promise<Pair> {
  const pair: Pair = { name: server.name, work, ours: [], idle: [], threads: [] };
  await succeed(server.url + path, await prepare());
  for (let round = 0; round < rounds; round++) {
    const body = await prepare();
    const pids = server.pids();
    let busyMs = 0;
    let burntMs = 0;
    const ours = await probeWhile(server.url + LIVE_PATH, async () => {
      const [start, cpu] = [performance.now(), cpuMs(pids)];
      await succeed(server.url + path, body);
      busyMs = performance.now() - start;
      burntMs = cpuMs(pids) - cpu;
    });
    // As many threads as the server kept busy, for as long, and the same body sent: to a server of its own, which only reads it.
    const threads = Math.max(1, Math.round(burntMs / busyMs));
    const sink = await startIdle();
    const beside = await probeWhile(idle.url + LIVE_PATH, async () => {
      await Promise.all([startBurner(threads, busyMs).done, succeed(sink.url, body)]);
    });
    await sink.stop();
    pair.ours.push([...ours]);
    pair.idle.push([...beside]);
    pair.threads.push(threads);
    await sleep(200);
  }
  return pair;
}

async function succeed(url: string, body: string | Buffer): Promise<void> {
  const { status, text } = await post(url, body);
  if (status !== 200) throw new Error(`Cannot measure: ${url} answered ${status} ${text.slice(0, 200)}`);
}

/** Many rows of one digit, filled up with blanks to the limit; only the labels are asked for. */
function largeBody(): Buffer {
  const row = Array.from({ length: 64 }, (_, index) => ((index * 5) % 17) / 16).join(',');
  const rows = Math.floor((LARGE_BODY_BYTES - 1000) / (row.length + 1));
  const head = `{"outputs":[{"name":"label"}],"inputs":[{"name":"input","datatype":"FP32","shape":[${rows},64],"data":[`;
  const body = Buffer.alloc(LARGE_BODY_BYTES, ' ');
  body.write(`${head}${`${row},`.repeat(rows - 1)}${row}]}]}`);
  return body;
}

function toReport(pairs: readonly Pair[], rounds: number): CaseReport {
  const p99 = (latencies: readonly number[]): number => percentile(latencies, 0.99);
  const ratios = pairs.map((pair) => p99(pair.ours.flat()) / p99(pair.idle.flat()));
  return {
    title: 'liveness under work',
    method:
      `GET ${LIVE_PATH} every 20 ms on new connections, while one request computes for about ${RUN_MS / 1000} s, and while a body of 64 MiB of JSON is read, ` +
      'decoded and computed; beside it the same probe of a bare idle node:http server while a burner keeps as many threads busy for as long and the same body is sent to a third server that only reads it. ' +
      `${rounds} rounds in turn; the ratio is that of the 99th percentiles over the probes of all rounds.`,
    columns: ['server', 'work', 'busy threads', 'probes', 'p50 ms', 'p99 ms', 'idle p50 ms', 'idle p99 ms', 'ratio of p99'],
    rows: pairs.map((pair, index) => [
      pair.name,
      pair.work,
      String(percentile(pair.threads, 0.5)),
      String(pair.ours.flat().length),
      percentile(pair.ours.flat(), 0.5).toFixed(1),
      formatSpread(spreadOf(pair.ours.map(p99)), 1),
      percentile(pair.idle.flat(), 0.5).toFixed(1),
      formatSpread(spreadOf(pair.idle.map(p99)), 1),
      (ratios[index] ?? NaN).toFixed(2),
    ]),
    goals: pairs.map((pair, index) => {
      return { what: `${pair.name}, ${pair.work}: p99 of the idle server's`, ratio: ratios[index] ?? NaN, limit: 2, isAtLeast: false };
    }),
  };
}
