import { describe, expect, it } from 'vitest';
import { cpuQuota, poolSizeFor, resolveBudget } from '../../../src/scheduler/index.ts';

const readFrom =
  (files: Readonly<Record<string, string>>) =>
  (path: string): string | undefined =>
    files[path];

describe('cpuQuota', () => {
  it.each([
    ['a quota of cgroup v2', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' }, 1.5],
    ['no quota', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' }, 8],
    ['a quota beyond the machine', { '/sys/fs/cgroup/cpu.max': '9900000 100000\n' }, 8],
    ['no cgroup files at all', {}, 8],
    ['unreadable contents', { '/sys/fs/cgroup/cpu.max': 'nonsense' }, 8],
    [
      'the tightest of nested cgroups',
      { '/proc/self/cgroup': '0::/a/b\n', '/sys/fs/cgroup/a/b/cpu.max': '400000 100000', '/sys/fs/cgroup/a/cpu.max': '300000 100000' },
      3,
    ],
    [
      "a quota of cgroup v1, whose path inside a container is the host's",
      {
        '/proc/self/cgroup': '5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/system.slice\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      2,
    ],
    [
      'no quota in cgroup v1',
      { '/proc/self/cgroup': '4:cpu:/\n', '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n' },
      8,
    ],
  ])('with %s', (_, files, cpus) => {
    expect(cpuQuota(readFrom(files), 8)).toBe(cpus);
  });

  it('finds at least a part of a CPU on this machine', () => {
    expect(cpuQuota()).toBeGreaterThan(0);
  });
});

describe('resolveBudget', () => {
  it.each([
    [
      { cpus: 2, instances: 0, intraOpThreads: 0, poolSize: 16 },
      { instances: 2, intraOpThreads: 2, besideThreads: 1 },
    ],
    [
      { cpus: 0.5, instances: 0, intraOpThreads: 0, poolSize: 16 },
      { instances: 2, intraOpThreads: 1, besideThreads: 1 },
    ],
    [
      { cpus: 3.5, instances: 0, intraOpThreads: 0, poolSize: 16 },
      { instances: 4, intraOpThreads: 3, besideThreads: 1 },
    ],
    [
      { cpus: 64, instances: 0, intraOpThreads: 0, poolSize: 16 },
      { instances: 12, intraOpThreads: 64, besideThreads: 32 },
    ],
    [
      { cpus: 2, instances: 12, intraOpThreads: 1, poolSize: 16 },
      { instances: 12, intraOpThreads: 1, besideThreads: 1 },
    ],
    [
      { cpus: 2, instances: 0, intraOpThreads: 0, poolSize: 5 },
      { instances: 1, intraOpThreads: 2, besideThreads: 1 },
    ],
  ])('%j gives %j', (request, budget) => {
    expect(resolveBudget(request)).toEqual(budget);
  });

  it.each([
    [
      { cpus: 2, instances: 13, intraOpThreads: 0, poolSize: 16 },
      'Cannot run 13 instances of a model on a thread pool of 16: set UV_THREADPOOL_SIZE=17 or more, or --instances to 12 or less',
    ],
    [
      { cpus: 2, instances: 0, intraOpThreads: 0, poolSize: 4 },
      'Cannot run 1 instances of a model on a thread pool of 4: set UV_THREADPOOL_SIZE=5 or more',
    ],
  ])('refuses %j', (request, message) => {
    expect(() => resolveBudget(request)).toThrow(message);
  });

  it('always fits the pool that poolSizeFor gives, up to what libuv can have', () => {
    for (const instances of [1, 2, 12, 1020]) {
      expect(resolveBudget({ cpus: 1, instances, intraOpThreads: 1, poolSize: poolSizeFor(instances) }).instances).toBe(instances);
    }
    expect(poolSizeFor(5000)).toBe(1024);
  });
});
