import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { posix } from 'node:path';
import { invalidRequest } from '../core/errors.ts';
import { RunSlots } from './run-slots.ts';

/** Threads of libuv's pool that runs never take: file system, dns and compression wait for them. */
const POOL_RESERVE = 4;

/** libuv refuses more. */
const MAX_POOL_SIZE = 1024;

/** A slow run must not hold up a quick one, so that a model has two slots even on one core. */
const MIN_INSTANCES = 2;

/** What one model gets: `instances` runs side by side; a lone one has `intraOpThreads`, one that starts beside another `besideThreads`. */
export interface ThreadBudget {
  readonly instances: number;
  readonly intraOpThreads: number;
  readonly besideThreads: number;
}

export interface BudgetRequest {
  /** CPUs that may be used, fractions included; see `cpuQuota`. */
  readonly cpus: number;
  /** Runs of one model side by side; 0: chosen by the number of CPUs. */
  readonly instances: number;
  /** Threads of one session; 0: chosen by the number of CPUs. */
  readonly intraOpThreads: number;
  /** Size of libuv's pool in the process where runs happen: each run holds one of its threads. */
  readonly poolSize: number;
}

/**
 * The one place that decides how many threads work. Runs leave POOL_RESERVE threads of libuv's pool alone, always: fewer instances are taken
 * when they were chosen here, and an explicit number that does not fit is refused (invalid_request, naming UV_THREADPOOL_SIZE).
 */
export function resolveBudget({ cpus, instances, intraOpThreads, poolSize }: BudgetRequest): ThreadBudget {
  const most = poolSize - POOL_RESERVE;
  if (most < 1 || instances > most) {
    const needed = poolSizeFor(Math.max(1, instances));
    throw invalidRequest(
      `Cannot run ${Math.max(1, instances)} instances of a model on a thread pool of ${poolSize}: set UV_THREADPOOL_SIZE=${needed} or more` +
        (most < 1 ? '' : `, or --instances to ${most} or less`),
    );
  }
  const all = Math.max(1, Math.floor(cpus));
  return {
    instances: instances > 0 ? instances : Math.min(most, Math.max(MIN_INSTANCES, Math.ceil(cpus))),
    intraOpThreads: intraOpThreads > 0 ? intraOpThreads : all,
    // A number that people chose holds for every run.
    besideThreads: intraOpThreads > 0 ? intraOpThreads : Math.max(1, Math.floor(all / 2)),
  };
}

/** What all models share that run in the process with this pool: however many there are, a part of it stays free. */
export function sharedSlots(poolSize: number): RunSlots {
  return new RunSlots(Math.max(1, poolSize - POOL_RESERVE));
}

/** Size of libuv's pool that lets `instances` runs go on at once; set before the pool's first use. */
export function poolSizeFor(instances: number): number {
  return Math.min(MAX_POOL_SIZE, instances + POOL_RESERVE);
}

/** Content of a file, undefined when it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

/**
 * CPUs that this process may use: the least of what the kernel schedules it on and the quota of its cgroup and of all cgroups above it
 * (v2: cpu.max; v1: cpu.cfs_quota_us over cpu.cfs_period_us). Fractions stay: 1.5 with a limit of 1500m.
 */
export function cpuQuota(readFile: ReadFile = readFileOrNothing, parallelism: number = availableParallelism()): number {
  let least = parallelism;
  for (const { controllers, path } of readCgroups(readFile)) {
    if (controllers === '')
      least = Math.min(
        least,
        leastQuota(path, (directory) => quotaV2(readFile, `/sys/fs/cgroup${directory}`)),
      );
    else if (controllers.split(',').includes('cpu')) {
      for (const mount of ['/sys/fs/cgroup/cpu', `/sys/fs/cgroup/${controllers}`]) {
        least = Math.min(
          least,
          leastQuota(path, (directory) => quotaV1(readFile, `${mount}${directory}`)),
        );
      }
    }
  }
  return least;
}

function readFileOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Lines of /proc/self/cgroup: `0::/path` (v2) or `4:cpu,cpuacct:/path` (v1). Without that file: the root of v2. */
function readCgroups(readFile: ReadFile): { readonly controllers: string; readonly path: string }[] {
  const text = readFile('/proc/self/cgroup') ?? '0::/';
  return text.split('\n').flatMap((line) => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    return match === null ? [] : [{ controllers: match[1] ?? '', path: match[2] ?? '/' }];
  });
}

/** Over the cgroup and its parents: inside a container the path may be the host's, then only its root is there to read. */
function leastQuota(path: string, quotaOf: (directory: string) => number): number {
  let least = Infinity;
  for (let directory = posix.normalize(path); ; directory = posix.dirname(directory)) {
    least = Math.min(least, quotaOf(directory === '/' ? '' : directory));
    if (directory === '/') return least;
  }
}

function quotaV2(readFile: ReadFile, directory: string): number {
  const [quota, period] = (readFile(`${directory}/cpu.max`) ?? '').trim().split(' ');
  return ratio(quota, period);
}

function quotaV1(readFile: ReadFile, directory: string): number {
  return ratio(readFile(`${directory}/cpu.cfs_quota_us`), readFile(`${directory}/cpu.cfs_period_us`));
}

/** `max` and -1 mean no limit, as does anything unreadable. */
function ratio(quota: string | undefined, period: string | undefined): number {
  const cpus = Number(quota) / Number(period);
  return cpus > 0 && Number.isFinite(cpus) ? cpus : Infinity;
}
