import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { ServingError } from '../core/errors.ts';
import type { Happening, Request } from './advance.ts';
import { SYSTEM_CLOCK } from './clock.ts';
import { textOf, type Cluster, type KubeObject } from './cluster.ts';
import { createKnativeTarget } from './knative.ts';
import { connectCluster } from './kubernetes.ts';
import type { RolloutPlan } from './plan.ts';
import { connectPrometheus, type Prometheus } from './prometheus.ts';
import { readQueries } from './queries.ts';
import { runRollout, type Outcome } from './runner.ts';
import { createStandardTarget } from './standard.ts';
import { openStateStore, type StateStore } from './state-store.ts';
import type { RolloutState } from './state.ts';
import type { Target } from './target.ts';

export interface StartOptions {
  readonly signal: AbortSignal;
  onState(state: RolloutState, happenings: readonly Happening[]): void;
  /** Rolls back the one that is there instead of going on. */
  readonly isAborting?: boolean;
}

/** Runs a rollout against the real cluster and Prometheus of a plan. */
export async function startRollout(plan: RolloutPlan, options: StartOptions): Promise<Outcome> {
  const cluster = await connectCluster(plan.service);
  const queries = await readQueries(plan);
  const identity = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  const { isAborting = false, ...rest } = options;
  return runRollout(
    plan,
    { cluster, prometheus: prometheusOf(plan, isAborting), queries, clock: SYSTEM_CLOCK, identity, createTarget, ...rest },
    isAborting,
  );
}

function prometheusOf({ judge, service }: RolloutPlan, isAborting: boolean): Prometheus {
  if (judge.prometheusUrl !== undefined) return connectPrometheus(judge.prometheusUrl, judge.prometheusHeaders);
  if (!isAborting && !service.dryRun) throw new ServingError('invalid_request', 'Cannot judge without metrics: give --prometheus_url');
  const refuse = (): Promise<never> => Promise.reject(new ServingError('upstream_failed', 'Cannot judge without --prometheus_url'));
  return { range: refuse, value: refuse };
}

function createTarget(service: KubeObject, cluster: Cluster, plan: RolloutPlan): Target {
  const mode = textOf(service, 'status', 'deploymentMode');
  if (mode === 'Knative' || mode === 'Serverless') return createKnativeTarget(cluster, plan);
  if (mode === 'Standard' || mode === 'RawDeployment') return createStandardTarget(cluster, plan);
  const known = mode === undefined ? 'KServe has not said its deployment mode yet' : `its deployment mode is ${mode}`;
  throw new ServingError('unimplemented', `Cannot roll out ${plan.name}: expected mode Knative or Standard, ${known}`);
}

/** The state that is stored, for who asks without running anything. */
export async function openRollout(plan: RolloutPlan): Promise<Pick<StateStore, 'read' | 'ask'>> {
  return openStateStore(await connectCluster(plan.service), plan.name);
}

export type { Request };
