import { isServingError, ServingError } from '../core/errors.ts';
import { advance, type Happening, type Input } from './advance.ts';
import { chooseState } from './choose-state.ts';
import type { Clock } from './clock.ts';
import type { Cluster, KubeObject } from './cluster.ts';
import { recordEvent } from './event.ts';
import { judge, lookSignificance, type Side, type StepWindow, type Verdict } from './judge.ts';
import { takeLease, type RunnerLease } from './lease.ts';
import { measure, type MetricQueries } from './measure.ts';
import type { RolloutPlan } from './plan.ts';
import type { Prometheus } from './prometheus.ts';
import { isEnd, type Reference, type RolloutState } from './state.ts';
import { openStateStore, storeName, type StateStore } from './state-store.ts';
import type { Target } from './target.ts';

export interface RunnerParts {
  readonly cluster: Cluster;
  readonly prometheus: Prometheus;
  readonly queries: MetricQueries;
  readonly clock: Clock;
  readonly identity: string;
  readonly signal: AbortSignal;
  createTarget(service: KubeObject, cluster: Cluster, plan: RolloutPlan): Target;
  /** Called with every state there is, and what happened on the way to it. */
  onState(state: RolloutState, happenings: readonly Happening[]): void;
}

export type Outcome =
  | { readonly kind: 'nothing'; readonly state?: undefined }
  | { readonly kind: 'planned'; readonly state: RolloutState }
  | { readonly kind: 'interrupted'; readonly state: RolloutState | undefined }
  | { readonly kind: 'ended'; readonly state: RolloutState };

const TICK_MS = 5000;

/** Begins a rollout, or goes on with the one that is there, until it ends or `signal` says to leave it to another runner. */
export async function runRollout(plan: RolloutPlan, parts: RunnerParts, abort = false): Promise<Outcome> {
  const { cluster, clock, signal } = parts;
  const service = await patiently(plan, parts, () => cluster.read('InferenceService', plan.name));
  if (service === undefined)
    throw new ServingError('model_not_found', `Cannot roll out: there is no InferenceService ${plan.name} in namespace ${cluster.namespace}`);
  const target = parts.createTarget(service, cluster, plan);
  const store = openStateStore(cluster, plan.name);
  if (plan.service.dryRun) {
    const state = await chooseState({ plan, service, target, store, isAborting: false, now: clock.now() });
    return state === undefined ? { kind: 'nothing' } : { kind: 'planned', state };
  }
  const lease = await patiently(plan, parts, () =>
    takeLease(cluster, { name: storeName(plan.name), identity: parts.identity, durationMs: plan.pace.leaseMs, owner: service }, clock, signal),
  );
  try {
    return await runHolding({ plan, parts, service, target, store, lease }, abort);
  } finally {
    // One that is not given back ends by itself.
    await lease.release().catch(() => undefined);
  }
}

interface Run {
  readonly plan: RolloutPlan;
  readonly parts: RunnerParts;
  readonly service: KubeObject;
  readonly target: Target;
  readonly store: StateStore;
  readonly lease: RunnerLease;
}

async function runHolding(run: Run, isAborting: boolean): Promise<Outcome> {
  const { plan, parts, service, target, store } = run;
  const { clock, signal } = parts;
  const chosen = await patiently(plan, parts, () => chooseState({ plan, service, target, store, isAborting, now: clock.now() }));
  if (chosen === undefined) return { kind: 'nothing' };
  let state = chosen;
  await settle(run, state, [{ reason: 'RolloutStarted', message: describeStart(state), isWarning: false }]);
  let lookedAt = 0;
  let isFirst = true;
  while (!signal.aborted && !isEnd(state.phase)) {
    const before: RolloutState = state;
    const { request, observed } = await patiently(plan, parts, async () => {
      await run.lease.hold();
      const asked = (await store.read()).request;
      return { request: isAborting && isFirst ? ('abort' as const) : asked, observed: await target.observe(before) };
    });
    isFirst = false;
    const isDue =
      before.phase === 'judging' && observed.interference === undefined && clock.now() - Math.max(lookedAt, before.since) >= plan.pace.checkMs;
    const look = isDue ? await lookAt(run, before) : undefined;
    if (look !== undefined) lookedAt = clock.now();
    const input: Input = {
      now: clock.now(),
      observed,
      ...(request === undefined ? {} : { request }),
      ...(look === undefined ? {} : { verdict: look.verdict }),
    };
    const next = advance(before, input, plan.pace);
    state = look?.reference === undefined ? next.state : { ...next.state, reference: look.reference };
    if (state !== before || request !== undefined) await settle(run, state, next.happenings);
    if (!isEnd(state.phase)) await clock.sleep(Math.min(TICK_MS, plan.pace.checkMs, plan.pace.leaseMs / 3), signal);
  }
  return isEnd(state.phase) ? { kind: 'ended', state } : { kind: 'interrupted', state };
}

/** First what is to be is written down, then it is done: whoever comes after a crash does it again. */
async function settle(run: Run, state: RolloutState, happenings: readonly Happening[]): Promise<void> {
  const { plan, parts, service, target, store, lease } = run;
  const { cluster, clock } = parts;
  const isKept = await patiently(plan, parts, async () => {
    if (!lease.isFresh()) await lease.hold();
    try {
      await store.write(state, service);
      return true;
    } catch (error) {
      // What belongs to a service goes with it.
      if (state.phase !== 'stopped' || !isServingError(error) || error.reason !== 'model_not_found') throw error;
      return false;
    }
  });
  // A step that runs was enacted when its traffic was to shift: what somebody did to it since is for `observe` to see.
  if (!isEnd(state.phase) && state.phase !== 'judging') {
    await patiently(plan, parts, async () => {
      if (!lease.isFresh()) await lease.hold();
      await target.enact(state);
    });
  }
  if (isKept) for (const happening of happenings) await recordEvent(cluster, service, happening, parts.identity, clock.now()).catch(() => undefined);
  parts.onState(state, happenings);
}

function describeStart({ steps, stable, phase, weight }: RolloutState): string {
  return phase === 'preparing'
    ? `Rolling out beside ${stable} in steps of ${steps.join(', ')} %`
    : `Going on beside ${stable} at ${weight} % (${phase})`;
}

async function lookAt({ plan, parts, target }: Run, state: RolloutState): Promise<{ readonly verdict: Verdict; readonly reference?: Reference }> {
  const { pace, judge: criteria } = plan;
  let window: StepWindow;
  try {
    window = await measure(parts.prometheus, parts.queries, target.selectors(state), state.since, parts.clock.now());
  } catch (error) {
    if (!isServingError(error)) throw error;
    return { verdict: { kind: 'wait', reason: error.message } };
  }
  const looks = state.steps.length * Math.ceil((pace.intervalMs + pace.patienceMs) / pace.checkMs);
  const significance = lookSignificance(criteria.significance, looks);
  const isAlone = state.weight === 100;
  const compared = isAlone && state.reference !== undefined ? { ...window, stable: sideOf(state.reference) } : window;
  const verdict = judge(compared, { ...criteria, significance });
  return isAlone ? { verdict } : { verdict, reference: referenceOf(window.stable) };
}

function referenceOf({ requests, errors, latency }: Side): Reference {
  if (latency === undefined) return { requests, errors };
  return { requests, errors, bounds: latency.bounds.map((bound) => (bound === Infinity ? null : bound)), counts: latency.counts };
}

function sideOf({ requests, errors, bounds, counts }: Reference): Side {
  if (bounds === undefined || counts === undefined) return { requests, errors };
  return { requests, errors, latency: { bounds: bounds.map((bound) => bound ?? Infinity), counts } };
}

const RETRY_MS = 1000;

/** Asks again while the API server is away, as long as the plan allows; traffic stays as it is meanwhile. */
async function patiently<T>({ pace }: RolloutPlan, { clock, signal }: RunnerParts, run: () => Promise<T>): Promise<T> {
  const until = clock.now() + pace.apiMs;
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!isServingError(error) || error.reason !== 'upstream_failed') throw error;
      if (clock.now() >= until || signal.aborted) {
        throw new ServingError('upstream_failed', `${error.message}; traffic stays as it is, run the same command again to go on`, { cause: error });
      }
      await clock.sleep(RETRY_MS, signal);
    }
  }
}
