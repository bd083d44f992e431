import { describe, expect, it } from 'vitest';
import { ServingError } from '../../../src/core/errors.ts';
import { fieldOf, textOf } from '../../../src/rollout/cluster.ts';
import { createKnativeTarget } from '../../../src/rollout/knative.ts';
import { isBusy } from '../../../src/rollout/lease.ts';
import { readRolloutPlan, type RolloutPlan } from '../../../src/rollout/plan.ts';
import { runRollout, type Outcome } from '../../../src/rollout/runner.ts';
import { openStateStore } from '../../../src/rollout/state-store.ts';
import type { RolloutState } from '../../../src/rollout/state.ts';
import { KServeDouble, MetricsDouble, VirtualClock } from './kserve-double.ts';

function planOf(...flags: readonly string[]): RolloutPlan {
  const plan = readRolloutPlan('digits', ['--steps=25,50', '--interval=600', '--check_interval=60', '--patience=600', ...flags], {});
  if ('problems' in plan) throw new Error(plan.problems.join('\n'));
  return plan;
}

/** A cluster, metrics and a clock; both sides answer five requests a second, without errors. */
function scene(): {
  readonly cluster: KServeDouble;
  readonly metrics: MetricsDouble;
  readonly clock: VirtualClock;
  readonly run: (options?: {
    readonly flags?: readonly string[];
    readonly abort?: boolean;
    readonly onState?: (state: RolloutState) => void;
    readonly signal?: AbortSignal;
    readonly identity?: string;
  }) => Promise<Outcome>;
} {
  const cluster = new KServeDouble('digits');
  const clock = new VirtualClock();
  const metrics = new MetricsDouble(clock);
  metrics.rates.set(cluster.revision(1), { requests: 5, errors: 0 });
  metrics.rates.set(cluster.revision(2), { requests: 5, errors: 0 });
  return {
    cluster,
    metrics,
    clock,
    run: ({
      flags = ['--storage_uri=s3://models/v2'],
      abort = false,
      onState = () => undefined,
      signal = new AbortController().signal,
      identity = 'one',
    } = {}) =>
      runRollout(
        planOf(...flags),
        {
          cluster,
          prometheus: metrics,
          queries: { requests: 'requests{$selector}', errors: 'errors{$selector}', latency: 'none', custom: [] },
          clock,
          identity,
          signal,
          createTarget: (_service, of, plan) => createKnativeTarget(of, plan),
          onState,
        },
        abort,
      ),
  };
}

const predictorOf = (cluster: KServeDouble): unknown => fieldOf(cluster.service, 'spec', 'predictor');
const storageOf = (cluster: KServeDouble): string | undefined => textOf(cluster.service, 'spec', 'predictor', 'model', 'storageUri');

describe('a rollout', () => {
  it('moves traffic step by step, promotes, and leaves no percentage behind', async () => {
    const { cluster, clock, run } = scene();
    const begunAt = clock.now();
    const { state } = await run();
    expect(state?.phase).toBe('promoted');
    expect([...new Set(cluster.percentages)]).toEqual([0, 25, 50, 100, undefined]);
    expect(predictorOf(cluster)).toEqual({ minReplicas: 1, model: { modelFormat: { name: 'onnx' }, storageUri: 's3://models/v2' } });
    expect((clock.now() - begunAt) / 1000).toBeGreaterThanOrEqual(3 * 600);
    expect(cluster.events.map((event) => event.split(':')[0])).toContain('RolloutPromoted');
    expect(cluster.service.metadata['annotations']).toBeUndefined();
  });

  it('takes traffic and the previous predictor back when the canary fails requests', async () => {
    const { cluster, metrics, run } = scene();
    metrics.rates.set(cluster.revision(2), { requests: 5, errors: 1 });
    const { state } = await run();
    expect(state).toMatchObject({ phase: 'rolled_back', weight: 0, judgedWeight: 0 });
    expect(state?.reason).toMatch(/^20 % of the canary's requests failed, 0 % of the stable revision's/);
    expect(Math.max(...cluster.percentages.map((percent) => percent ?? 0))).toBe(25);
    expect(predictorOf(cluster)).toEqual({ minReplicas: 1, model: { modelFormat: { name: 'onnx' }, storageUri: 's3://models/v1' } });
    expect(cluster.events.some((event) => event.startsWith('RolloutRolledBack: digits-predictor-00001 has all traffic again: 20 %'))).toBe(true);
  });

  it('takes back what fails when it has all traffic, by what the stable revision did before', async () => {
    const { cluster, metrics, run } = scene();
    const { state } = await run({
      onState: ({ weight }) => {
        if (weight === 100) metrics.rates.set(cluster.revision(1), { requests: 0, errors: 0 });
        if (weight === 100) metrics.rates.set(cluster.revision(2), { requests: 5, errors: 2 });
      },
    });
    expect(state).toMatchObject({ phase: 'rolled_back', judgedWeight: 50 });
    expect(storageOf(cluster)).toBe('s3://models/v1');
  });

  it('stops at the last judged step when there is no traffic any more', async () => {
    const { cluster, metrics, run } = scene();
    const { state } = await run({
      onState: ({ weight }) => {
        if (weight === 50) metrics.rates.set(cluster.revision(2), { requests: 0, errors: 0 });
      },
    });
    expect(state).toMatchObject({ phase: 'stopped', weight: 25, judgedWeight: 25 });
    expect(state?.reason).toBe('step 50 % could not be judged: too few requests: canary 0, stable 6000, needed 100 each');
    expect(cluster.percentages.at(-1)).toBe(25);
  });

  it('stops when Prometheus does not answer, and goes on from the judged step when run again', async () => {
    const { cluster, metrics, run } = scene();
    metrics.outage = new ServingError('upstream_failed', 'Cannot reach Prometheus');
    const { state } = await run();
    expect(state).toMatchObject({ phase: 'stopped', weight: 0, reason: 'step 25 % could not be judged: Cannot reach Prometheus' });
    metrics.outage = undefined;
    expect((await run({ flags: [] })).state?.phase).toBe('promoted');
    expect(storageOf(cluster)).toBe('s3://models/v2');
  });

  it('goes on where a killed runner left off', async () => {
    const { cluster, clock, run } = scene();
    const killed = new AbortController();
    const first = await run({
      signal: killed.signal,
      onState: ({ weight, phase }) => {
        if (weight === 50 && phase === 'judging') killed.abort();
      },
    });
    expect(first.kind).toBe('interrupted');
    // The lease of a killed runner is not given back.
    const lease = cluster.objects.get('Lease/digits-rollout');
    if (lease === undefined) throw new Error('there is no lease');
    await cluster.replace({ ...lease, spec: { holderIdentity: 'killed', leaseDurationSeconds: 30, renewTime: new Date(clock.now()).toISOString() } });
    const from = cluster.percentages.length;
    const at = clock.now();
    const second = await run({ flags: [], identity: 'two' });
    expect(second.state).toMatchObject({ phase: 'promoted', id: first.state?.id });
    expect(clock.now() - at).toBeGreaterThan(30_000);
    expect(cluster.percentages.slice(from)).not.toContain(25);
  });

  it('refuses to run beside another runner', async () => {
    const { cluster, clock, run } = scene();
    clock.onSleep(() => {
      const lease = cluster.objects.get('Lease/digits-rollout');
      if (lease !== undefined)
        void cluster.replace({ ...lease, spec: { holderIdentity: 'two', leaseDurationSeconds: 30, renewTime: new Date(clock.now()).toISOString() } });
    });
    await cluster.create({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'digits-rollout', namespace: 'models' },
      spec: { holderIdentity: 'two', leaseDurationSeconds: 30 },
    });
    const refused: unknown = await run().catch((error: unknown) => error);
    expect(refused).toMatchObject({ message: 'Cannot run two rollouts at once: two holds the lease digits-rollout and renews it' });
    expect(isBusy(refused)).toBe(true);
    expect(isBusy(new ServingError('conflict', 'Cannot roll out: other field managers own it'))).toBe(false);
    expect(cluster.percentages).toEqual([]);
  });

  it('waits while the API server is away, and gives up after the time for that', async () => {
    const { cluster, clock, run } = scene();
    let outages = 0;
    clock.onSleep(() => {
      if (cluster.percentages.includes(50) && outages++ < 60) cluster.outage = new ServingError('upstream_failed', 'Cannot reach the API server');
      else cluster.outage = undefined;
    });
    expect((await run()).state?.phase).toBe('promoted');
    cluster.outage = new ServingError('upstream_failed', 'Cannot reach the API server');
    const other = scene();
    other.cluster.outage = cluster.outage;
    await expect(other.run({ flags: ['--storage_uri=s3://models/v3', '--api_timeout=60'] })).rejects.toThrow(
      'Cannot reach the API server; traffic stays as it is, run the same command again to go on',
    );
  });

  it('stops when the service is deleted', async () => {
    const { cluster, run } = scene();
    const { state } = await run({
      onState: ({ weight, phase }) => {
        if (weight !== 25 || phase !== 'judging') return;
        for (const name of ['InferenceService/digits', 'ConfigMap/digits-rollout', 'Lease/digits-rollout']) cluster.objects.delete(name);
      },
    });
    expect(state).toMatchObject({ phase: 'stopped', reason: 'the InferenceService was deleted' });
  });

  it.each([
    [
      'another model is applied meanwhile',
      { model: { storageUri: 's3://models/v3' } },
      { weight: 0, reason: 'a new revision, digits-predictor-00003, took the place of digits-predictor-00002' },
    ],
    ['somebody sets the percentage', { canaryTrafficPercent: 5 }, { weight: 25, reason: 'somebody has set canaryTrafficPercent to 5 instead of 25' }],
  ])('stops when %s', async (_, edit, expected) => {
    const { cluster, run } = scene();
    let isDone = false;
    const { state } = await run({
      onState: ({ weight, phase }) => {
        if (weight !== 25 || phase !== 'judging' || isDone) return;
        isDone = true;
        cluster.edit(edit);
      },
    });
    expect(state).toMatchObject({ phase: 'stopped', ...expected });
  });

  it('obeys what is asked of it through the ConfigMap', async () => {
    const { cluster, clock, run } = scene();
    const store = openStateStore(cluster, 'digits');
    const asked: string[] = [];
    let pausedAt = 0;
    const { state } = await run({
      onState: ({ weight, phase, isPaused }) => {
        const ask = (request: 'pause' | 'resume' | 'abort'): void => {
          if (asked.includes(request)) return;
          asked.push(request);
          void store.ask(request);
        };
        if (weight === 25 && phase === 'judging') ask('pause');
        if (isPaused && pausedAt === 0) pausedAt = clock.now();
        if (isPaused && clock.now() - pausedAt > 3_600_000) ask('resume');
        if (weight === 50 && phase === 'judging') ask('abort');
      },
    });
    expect(asked).toEqual(['pause', 'resume', 'abort']);
    expect(state).toMatchObject({ phase: 'rolled_back', isAborted: true, judgedWeight: 25 });
    expect(storageOf(cluster)).toBe('s3://models/v1');
  });

  it('has nothing to do without a change or a canary', async () => {
    const { cluster, run } = scene();
    expect((await run({ flags: [] })).kind).toBe('nothing');
    expect((await run({ flags: ['--storage_uri=s3://models/v1'] })).kind).toBe('nothing');
    expect(cluster.percentages).toEqual([]);
  });

  it('rolls out a canary that others have applied, and leaves it at 0 % when it fails', async () => {
    const { cluster, metrics, run } = scene();
    cluster.edit({ canaryTrafficPercent: 0, model: { storageUri: 's3://models/v2' } });
    metrics.rates.set(cluster.revision(2), { requests: 5, errors: 5 });
    const { state } = await run({ flags: [] });
    expect(state?.phase).toBe('rolled_back');
    expect(predictorOf(cluster)).toMatchObject({ canaryTrafficPercent: 0, model: { storageUri: 's3://models/v2' } });
  });

  it('changes nothing in a dry run', async () => {
    const { cluster, run } = scene();
    const outcome = await run({ flags: ['--storage_uri=s3://models/v2', '--dry_run'] });
    expect(outcome).toMatchObject({ kind: 'planned', state: { steps: [25, 50, 100], stable: 'digits-predictor-00001' } });
    expect([...cluster.objects.keys()]).toEqual(['InferenceService/digits']);
    expect(storageOf(cluster)).toBe('s3://models/v1');
  });

  it('aborts one that stopped without giving it traffic again', async () => {
    const { cluster, metrics, run } = scene();
    metrics.rates.set(cluster.revision(2), { requests: 0, errors: 0 });
    expect((await run()).state?.phase).toBe('stopped');
    const from = cluster.percentages.length;
    expect((await run({ flags: [], abort: true })).state).toMatchObject({ phase: 'rolled_back', isAborted: true });
    expect([...new Set(cluster.percentages.slice(from))]).toEqual([0, undefined]);
    expect(storageOf(cluster)).toBe('s3://models/v1');
    expect((await run({ flags: [], abort: true })).kind).toBe('nothing');
  });

  it('does not roll out again what was rolled back, unless told to', async () => {
    const { cluster, metrics, run } = scene();
    metrics.rates.set(cluster.revision(2), { requests: 5, errors: 5 });
    expect((await run()).state?.phase).toBe('rolled_back');
    await expect(run()).rejects.toThrow('Cannot roll out again: this was rolled back before (100 % of the canary');
    metrics.rates.set(cluster.revision(3), { requests: 5, errors: 0 });
    metrics.rates.set(cluster.revision(4), { requests: 5, errors: 0 });
    expect((await run({ flags: ['--storage_uri=s3://models/v2', '--retry'] })).state?.phase).toBe('promoted');
  });

  it('aborts one that nobody runs', async () => {
    const { cluster, run } = scene();
    const left = new AbortController();
    await run({
      signal: left.signal,
      onState: ({ phase }) => {
        if (phase === 'judging') left.abort();
      },
    });
    expect((await run({ flags: [], abort: true })).state).toMatchObject({ phase: 'rolled_back', isAborted: true });
    expect(storageOf(cluster)).toBe('s3://models/v1');
  });
});
