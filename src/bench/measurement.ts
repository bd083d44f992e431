import { createRandom } from '../core/random.ts';
import { createArrivals } from './arrivals.ts';
import type { Answer, Lane } from './connection.ts';
import { Latencies, type LatencySummary } from './latencies.ts';
import { runLoadPhase, type LoadPhaseOptions } from './load-phase.ts';
import type { Traffic } from './messages.ts';
import type { BenchPlan, Step } from './plan.ts';
import { cpuMs, rssMiB, treeOf } from './process-tree.ts';

/** Figures of one step. Latencies are of right answers only, in milliseconds. */
export interface Measurement {
  readonly concurrency?: number;
  readonly rate?: number;
  readonly seconds: number;
  readonly sent: number;
  /** Before the measurement; they count nowhere else. */
  readonly warmupSent: number;
  readonly right: number;
  /** How many by what went wrong: `HTTP 429`, `timeout`, `wrong answer`. */
  readonly failures: Readonly<Record<string, number>>;
  /** What the first failed answer said. */
  readonly complaint?: string;
  /** Right answers. */
  readonly perSecond: number;
  readonly bytesReceived: number;
  readonly latency: LatencySummary | undefined;
  readonly curve: readonly (readonly [percentile: number, milliseconds: number])[];
  readonly openLoop?: { readonly unsent: number; readonly lateP99Ms: number };
  readonly generator: { readonly cpuShare: number; readonly loopShare: number; readonly isBottleneck: boolean };
  readonly server?: { readonly cpuMsPerRequest: number; readonly cpuShare: number; readonly rssMiB: number };
}

/** What a run in progress shows. */
export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly isWarmingUp: boolean;
  /** 0 to 1, of the step. */
  readonly done: number;
  readonly sent: number;
  readonly right: number;
  readonly failed: number;
}

/** Of its one thread: beyond it the load generator itself sets the pace. */
const BOTTLENECK_SHARE = 0.9;

export interface MeasureOptions {
  readonly plan: BenchPlan;
  readonly traffic: Traffic;
  readonly step: Step;
  readonly seed: number;
  /** True when the answer to message number `message` is the right one. */
  readonly isRight: ((answer: Answer, message: number) => boolean) | undefined;
  readonly serverPid: number | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Omit<Progress, 'step' | 'steps'>) => void;
}

const PROGRESS_MS = 100;

/** Warms up, then measures one step. Resolves with what there is when `signal` aborts. */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { plan, traffic, step, seed, signal } = options;
  const { load } = plan;
  const lanes: Lane[] = [];
  const openLane = (): Lane => traffic.wire.openLane(options.isRight !== undefined);
  if (step.concurrency !== undefined) for (let lane = 0; lane < step.concurrency; lane++) lanes.push(openLane());
  const random = createRandom(seed);
  const common = (): Pick<LoadPhaseOptions, 'lanes' | 'messages' | 'timeoutMs' | 'signal' | 'openLoop'> => ({
    lanes,
    messages: traffic.messages,
    timeoutMs: load.timeoutMs,
    signal,
    ...(step.rate === undefined
      ? {}
      : { openLoop: { arrivals: createArrivals(load.arrivals, step.rate, random), maxLanes: load.maxInFlight, openLane } }),
  });
  const tally = new Tally(options.isRight);
  let isWarmingUp = true;
  const startedAt = performance.now();
  let measuredAt = startedAt;
  const showing = setInterval(() => {
    const elapsed = performance.now() - (isWarmingUp ? startedAt : measuredAt);
    const share = isWarmingUp ? elapsed / load.warmupMs : load.requests === undefined ? elapsed / load.durationMs : tally.answered / load.requests;
    options.onProgress({ isWarmingUp, done: Math.min(1, share), sent: tally.answered, right: tally.right, failed: tally.failed });
  }, PROGRESS_MS);
  try {
    const warm = await runLoadPhase({ ...common(), firstMessage: 0, durationMs: load.warmupMs, requests: Infinity, onAnswer: () => undefined });
    isWarmingUp = false;
    measuredAt = performance.now();
    const watch = watchProcesses(options.serverPid);
    const lateness = new Latencies();
    const limit =
      load.requests === undefined ? { durationMs: load.durationMs, requests: Infinity } : { durationMs: Infinity, requests: load.requests };
    const phase = await runLoadPhase({
      ...common(),
      ...limit,
      firstMessage: warm.sent % traffic.messages.length,
      onAnswer: (answer, message, latencyMs) => {
        tally.count(answer, message, latencyMs);
      },
      onLate: (lateMs) => {
        lateness.record(lateMs);
      },
    });
    const seconds = Math.max(phase.elapsedMs, 1e-3) / 1000;
    return {
      ...step,
      seconds,
      sent: phase.sent,
      warmupSent: warm.sent,
      ...tally.figures(seconds),
      ...(step.rate === undefined ? {} : { openLoop: { unsent: phase.unsent, lateP99Ms: lateness.count === 0 ? 0 : lateness.percentile(99) } }),
      ...watch(phase.sent),
    };
  } finally {
    clearInterval(showing);
    for (const lane of lanes) lane.close();
  }
}

/** Counts answers. Owns the latencies. */
class Tally {
  readonly #isRight: MeasureOptions['isRight'];
  readonly #latencies = new Latencies();
  readonly #failures = new Map<string, number>();
  #complaint: string | undefined;
  #bytes = 0;
  right = 0;
  failed = 0;

  constructor(isRight: MeasureOptions['isRight']) {
    this.#isRight = isRight;
  }

  get answered(): number {
    return this.right + this.failed;
  }

  count(answer: Answer, message: number, latencyMs: number): void {
    const failure = answer.failure ?? (this.#isRight?.(answer, message) === false ? 'wrong answer' : undefined);
    this.#bytes += answer.bytes;
    if (failure === undefined) {
      this.right++;
      this.#latencies.record(latencyMs);
      return;
    }
    this.failed++;
    this.#failures.set(failure, (this.#failures.get(failure) ?? 0) + 1);
    this.#complaint ??= readComplaint(answer);
  }

  figures(seconds: number): Pick<Measurement, 'right' | 'failures' | 'complaint' | 'perSecond' | 'bytesReceived' | 'latency' | 'curve'> {
    return {
      right: this.right,
      failures: Object.fromEntries(this.#failures),
      ...(this.#complaint === undefined ? {} : { complaint: this.#complaint }),
      perSecond: this.right / seconds,
      bytesReceived: this.#bytes,
      latency: this.#latencies.summary(),
      curve: this.right === 0 ? [] : this.#latencies.curve(),
    };
  }
}

const MAX_COMPLAINT_CHARACTERS = 300;

/** The beginning of what a failed answer said, on one line. */
export function readComplaint({ failure, body }: Answer): string {
  const text = body === undefined ? '' : body.subarray(0, MAX_COMPLAINT_CHARACTERS).toString('utf8').replaceAll(/\s+/g, ' ').trim();
  const words = failure ?? 'wrong answer';
  return text === '' ? words : `${words}: ${text}`;
}

/** Starts to watch this process and the server's; the function that comes back ends it and tells what they used. */
function watchProcesses(serverPid: number | undefined): (requests: number) => Pick<Measurement, 'generator' | 'server'> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const serverPids = serverPid === undefined ? [] : treeOf(serverPid);
  const serverCpu = cpuMs(serverPids);
  return (requests) => {
    const elapsedMs = performance.now() - startedAt;
    const used = process.cpuUsage(cpu);
    const loopShare = performance.eventLoopUtilization(loop).utilization;
    const generator = { cpuShare: (used.user + used.system) / 1000 / elapsedMs, loopShare, isBottleneck: loopShare > BOTTLENECK_SHARE };
    if (serverPid === undefined) return { generator };
    const serverMs = cpuMs(serverPids) - serverCpu;
    const server = { cpuMsPerRequest: serverMs / Math.max(1, requests), cpuShare: serverMs / elapsedMs, rssMiB: rssMiB(serverPids) };
    return { generator, server };
  };
}
