import { randomUUID } from 'node:crypto';
import { ServingError } from '../core/errors.ts';
import { fieldOf, textOf, type KubeObject } from './cluster.ts';
import { hasFields, omitField } from './fields.ts';
import type { RolloutPlan } from './plan.ts';
import type { StateStore } from './state-store.ts';
import { isEnd, type RolloutState } from './state.ts';
import type { Beginning, Target } from './target.ts';

export interface Choice {
  readonly plan: RolloutPlan;
  readonly service: KubeObject;
  readonly target: Target;
  readonly store: StateStore;
  /** Only what is there already is of interest, and it goes back. */
  readonly isAborting: boolean;
  readonly now: number;
}

/** The rollout that goes on, or a new one; undefined when there is nothing to do. */
export async function chooseState({ plan, service, target, store, isAborting, now }: Choice): Promise<RolloutState | undefined> {
  const { state: stored } = await store.read();
  // Another uid is another service of the same name.
  const before = stored?.uid === service.metadata.uid ? stored : undefined;
  if (before !== undefined && !isEnd(before.phase)) return before;
  const isStopped = before?.phase === 'stopped' && isThere(before, service);
  if (isAborting) {
    return isStopped ? { ...before, phase: 'reverting', since: now, weight: 0, isAborted: true, reason: 'aborted by request' } : undefined;
  }
  if (isStopped) return resumed(before, plan, now);
  const beginning = await target.begin(service);
  if (beginning === undefined) return undefined;
  if (before?.phase === 'rolled_back' && before.isAborted !== true && !plan.service.retry && isSame(beginning, before)) {
    throw new ServingError(
      'conflict',
      `Cannot roll out again: this was rolled back before (${before.reason ?? 'unknown'}); --retry does it all the same`,
    );
  }
  return {
    format: 1,
    id: randomUUID(),
    name: plan.name,
    namespace: service.metadata.namespace,
    uid: service.metadata.uid ?? '',
    mode: target.mode,
    phase: 'preparing',
    since: now,
    startedAt: now,
    steps: plan.pace.steps,
    step: 0,
    weight: 0,
    judgedWeight: 0,
    isPaused: false,
    passed: [],
    ...beginning,
  };
}

/** What was rolled out is still in the service: nobody has put something else in its place since. */
function isThere({ mode, change, canary }: RolloutState, service: KubeObject): boolean {
  if (mode === 'Standard') return hasFields(fieldOf(service, 'spec', 'canary', 0, 'predictor'), change);
  const created = textOf(service, 'status', 'components', 'predictor', 'latestCreatedRevision');
  return hasFields(fieldOf(service, 'spec', 'predictor'), change ?? {}) && (canary === undefined || canary === created);
}

/** One that stopped goes on with the step that could not be judged. */
function resumed(before: RolloutState, plan: RolloutPlan, now: number): RolloutState {
  const { storageUri } = plan.service;
  if (storageUri !== undefined && !hasFields(before.change, { model: { storageUri } })) {
    const said = `the rollout before stopped at ${before.weight} % (${before.reason ?? 'unknown'})`;
    throw new ServingError('conflict', `Cannot begin: ${said}; run it again without --storage_uri, or abort it`);
  }
  const rest = omitField(before, 'reason');
  return before.canary === undefined
    ? { ...rest, phase: 'preparing', since: now, weight: 0 }
    : { ...rest, phase: 'shifting', since: now, weight: before.steps[before.step] ?? 100 };
}

/** A job that comes again and again must not send traffic to the same bad model each time. */
function isSame(beginning: Beginning, before: RolloutState): boolean {
  if (beginning.previous === undefined) return beginning.canary === before.canary;
  const unnamed = (change: unknown): string => JSON.stringify({ ...(change as object | undefined), name: undefined });
  return unnamed(beginning.change) === unnamed(before.change);
}
