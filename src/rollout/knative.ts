import { ServingError } from '../core/errors.ts';
import type { Observed } from './advance.ts';
import { dryApply, effectiveChange, keptFields, predictorPatch, readChange } from './change.ts';
import { fieldOf, listOf, textOf, type Cluster, type KubeObject } from './cluster.ts';
import { hasFields, mergeFields, pickFields } from './fields.ts';
import type { RolloutPlan } from './plan.ts';
import { fillSelector } from './selector.ts';
import type { RolloutState } from './state.ts';
import type { Target } from './target.ts';

/**
 * Knative mode: every change of the predictor is a revision, and spec.predictor.canaryTrafficPercent splits traffic between the newest and the one that had
 * all of it last. The change and 0 % are applied together: without a percentage KServe sends everything to a new revision as soon as it is ready.
 */
export function createKnativeTarget(cluster: Cluster, plan: RolloutPlan): Target {
  const { name, service: options } = plan;
  return {
    mode: 'Knative',
    begin: async (live) => {
      const status = fieldOf(live, 'status', 'components', 'predictor');
      const stable = textOf(status, 'latestRolledoutRevision');
      if (stable === undefined) {
        throw new ServingError(
          'invalid_request',
          `Cannot roll out ${name}: no revision of it has had all traffic yet, and KServe splits none before that`,
        );
      }
      const [created, ready] = [textOf(status, 'latestCreatedRevision'), textOf(status, 'latestReadyRevision')];
      const change = await readChange(plan, live);
      const kept = keptFields(live);
      if (change === undefined) {
        if (created === stable || created === undefined) return undefined;
        if (fieldOf(live, 'spec', 'predictor', 'canaryTrafficPercent') === undefined && ready !== created) {
          throw new ServingError(
            'conflict',
            `Cannot roll out ${created}: it gets all traffic once it is ready, because canaryTrafficPercent is not set`,
          );
        }
        await dryApply(cluster, predictorPatch(cluster, name, { ...kept, canaryTrafficPercent: 0 }), options.forceConflicts);
        return { stable, kept, canary: created };
      }
      const dry = await dryApply(
        cluster,
        predictorPatch(cluster, name, { ...mergeFields(kept, change), canaryTrafficPercent: 0 }),
        options.forceConflicts,
      );
      const effective = effectiveChange(change, live, dry);
      if (effective === undefined) return undefined;
      if (created !== stable) {
        throw new ServingError(
          'conflict',
          `Cannot roll out: ${created ?? 'another revision'} is a canary beside ${stable} already; roll it out without --file and --storage_uri, or take it back`,
        );
      }
      return { previous: fieldOf(live, 'spec', 'predictor'), change: effective, kept, stable };
    },
    enact: async (state) => {
      await cluster.apply(predictorPatch(cluster, name, fieldsFor(state)), { force: true });
    },
    observe: async (state) => observeService(await cluster.read('InferenceService', name), state),
    selectors: ({ canary = '', stable, namespace }) => ({
      canary: fillSelector(plan.judge.canarySelector ?? REVISION_SELECTOR, { revision: canary, namespace, name }),
      stable: fillSelector(plan.judge.stableSelector ?? REVISION_SELECTOR, { revision: stable, namespace, name }),
    }),
  };
}

/** Pods of a revision are called after its Deployment. */
const REVISION_SELECTOR = 'namespace="$namespace",pod=~"$revision-deployment-.*"';

/** All fields that are ours in a phase. What is not among them goes, when nobody else owns it. */
function fieldsFor({ phase, weight, change, previous, kept }: RolloutState): object {
  const isBack = phase === 'restoring' || phase === 'releasing';
  // Without a change of ours there is nothing to put back: the canary keeps its 0 %.
  if (isBack && previous !== undefined) {
    return { ...mergeFields(kept, pickFields(previous, change)), ...(phase === 'restoring' ? { canaryTrafficPercent: 0 } : {}) };
  }
  return { ...mergeFields(kept, change), ...(phase === 'promoting' ? {} : { canaryTrafficPercent: weight }) };
}

function observeService(live: KubeObject | undefined, state: RolloutState): Observed {
  if (live?.metadata.uid !== state.uid || live.metadata['deletionTimestamp'] !== undefined)
    return { exists: false, isCanaryReady: false, isSettled: false };
  const status = fieldOf(live, 'status', 'components', 'predictor');
  const [created, ready] = [textOf(status, 'latestCreatedRevision'), textOf(status, 'latestReadyRevision')];
  const isNew = created !== undefined && created !== state.stable;
  const isReady = isNew && ready === created && (state.canary === undefined || created === state.canary);
  const failure = isReady || !isNew ? undefined : failureOf(live);
  const weight = weightOf(status, state);
  const interference = interferenceOf(live, created, state);
  return {
    exists: true,
    isCanaryReady: isReady,
    isSettled: isSettled(live, status, state),
    ...(isNew ? { canary: created } : {}),
    ...(failure === undefined ? {} : { failure }),
    ...(weight === undefined ? {} : { weight }),
    ...(interference === undefined ? {} : { interference }),
  };
}

function failureOf(live: KubeObject): string | undefined {
  const model = fieldOf(live, 'status', 'modelStatus');
  if (textOf(model, 'states', 'targetModelState') !== 'FailedToLoad') return undefined;
  return textOf(model, 'lastFailureInfo', 'message') ?? textOf(model, 'lastFailureInfo', 'reason') ?? 'its model failed to load';
}

/** Percent that goes anywhere but to the stable revision. */
function weightOf(status: unknown, { stable }: RolloutState): number | undefined {
  const targets = listOf(status, 'traffic');
  if (targets.length === 0) return undefined;
  let weight = 0;
  for (const target of targets) if (textOf(target, 'revisionName') !== stable) weight += Number(fieldOf(target, 'percent') ?? 0);
  return weight;
}

function interferenceOf(live: KubeObject, created: string | undefined, { phase, weight, canary, change }: RolloutState): Observed['interference'] {
  if (phase !== 'shifting' && phase !== 'judging') return undefined;
  if (created !== canary) return { reason: `a new revision, ${created ?? 'unnamed'}, took the place of ${canary ?? 'the canary'}`, isUnsafe: true };
  const predictor = fieldOf(live, 'spec', 'predictor');
  const percent = fieldOf(predictor, 'canaryTrafficPercent');
  if (percent !== weight) {
    return {
      reason: `somebody has set canaryTrafficPercent to ${percent === undefined ? 'nothing' : JSON.stringify(percent)} instead of ${weight}`,
      isUnsafe: false,
    };
  }
  if (change !== undefined && !hasFields(predictor, change))
    return { reason: 'somebody has changed the fields of spec.predictor that are rolled out', isUnsafe: true };
  return undefined;
}

function isSettled(live: KubeObject, status: unknown, { phase, canary, previous }: RolloutState): boolean {
  const [created, ready, rolledOut] = ['latestCreatedRevision', 'latestReadyRevision', 'latestRolledoutRevision'].map((field) =>
    textOf(status, field),
  );
  switch (phase) {
    case 'promoting':
      return rolledOut === canary && fieldOf(live, 'spec', 'predictor', 'canaryTrafficPercent') === undefined;
    case 'restoring':
      return previous === undefined || (created !== canary && ready === created);
    case 'releasing':
      return previous === undefined || (rolledOut === created && ready === created);
    default:
      return false;
  }
}
