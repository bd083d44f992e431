import { isServingError, ServingError } from '../core/errors.ts';
import type { Observed } from './advance.ts';
import { dryApply, effectiveChange, keptFields, predictorPatch, readChange } from './change.ts';
import { fieldOf, listOf, textOf, type Cluster, type KubeObject } from './cluster.ts';
import { hasFields, mergeFields } from './fields.ts';
import type { RolloutPlan } from './plan.ts';
import { openRoute, type Backends } from './route.ts';
import { fillSelector } from './selector.ts';
import type { RolloutState } from './state.ts';
import type { Target } from './target.ts';

/** KServe counts a canary's pods by its percentage and lets it scale by nothing else. */
const NOT_FOR_CANARIES = ['name', 'minReplicas', 'maxReplicas', 'scaleTarget', 'scaleMetric', 'scaleMetricType', 'autoScaling', 'workerSpec'];

/**
 * Standard mode: spec.canary makes a second Deployment and Service, and the weights of a route, ours to set, split traffic between the two Services. At the end
 * the stable predictor takes the canary's name and fields, as KServe wants it: its pods stay.
 */
export function createStandardTarget(cluster: Cluster, plan: RolloutPlan): Target {
  const { name, service: options } = plan;
  const serviceOf = (predictor: unknown): string => serviceName(name, textOf(predictor, 'name'));
  const backendsOf = ({ stable, change }: RolloutState): Backends => ({ stable, canary: serviceOf(change) });
  return {
    mode: 'Standard',
    begin: async (live) => {
      const { route } = options;
      if (route === undefined) {
        throw new ServingError(
          'invalid_request',
          'Cannot roll out: KServe splits no traffic in Standard mode, give --route=httproute/NAME or --route=virtualservice/NAME',
        );
      }
      const predictor = fieldOf(live, 'spec', 'predictor');
      const canary = await canaryFor(plan, live);
      if (canary === undefined) return undefined;
      const kept = keptFields(live);
      const dry = await dryApply(cluster, canaryPatch(cluster, name, kept, canary, 1), options.forceConflicts);
      const [stable, change] = [serviceOf(predictor), fieldOf(dry, 'spec', 'canary', 0, 'predictor')];
      await openRoute(cluster, route).check({ stable, canary: serviceOf(canary) });
      return { previous: predictor, change, kept, stable, canary: serviceOf(canary), route };
    },
    enact: async (state) => {
      const route = openRoute(cluster, state.route ?? '');
      const backends = backendsOf(state);
      const { phase, kept, change, weight } = state;
      if (phase === 'promoting') {
        await route.split(backends, 100, true);
        await cluster.apply(predictorPatch(cluster, name, mergeFields(kept, change)), { force: true });
        return;
      }
      const isBack = phase === 'restoring' || phase === 'releasing';
      // Pods first, traffic then; on the way back the other way round. Half a percent of pods is none: at least one percent asks for one.
      if (weight > 0 || phase === 'preparing') await cluster.apply(canaryPatch(cluster, name, kept, change, Math.max(1, weight)), { force: true });
      if (phase !== 'preparing') await retryConflict(() => route.split(backends, weight));
      if (isBack) await cluster.apply(predictorPatch(cluster, name, kept as object), { force: true });
    },
    observe: async (state) => {
      const live = await cluster.read('InferenceService', name);
      if (live?.metadata.uid !== state.uid || live.metadata['deletionTimestamp'] !== undefined)
        return { exists: false, isCanaryReady: false, isSettled: false };
      const weight = await openRoute(cluster, state.route ?? '').weight(backendsOf(state));
      return observeService(live, state, weight);
    },
    selectors: ({ canary = '', stable, namespace }) => ({
      canary: fillSelector(plan.judge.canarySelector ?? DEPLOYMENT_SELECTOR, { revision: canary, namespace, name }),
      stable: fillSelector(plan.judge.stableSelector ?? DEPLOYMENT_SELECTOR, { revision: stable, namespace, name }),
    }),
  };
}

/** Pods of a Deployment: its name, the hash of its ReplicaSet, five letters. */
const DEPLOYMENT_SELECTOR = 'namespace="$namespace",pod=~"$revision-[a-z0-9]+-[a-z0-9]{5}"';

function serviceName(name: string, predictor: string | undefined): string {
  return predictor === undefined ? `${name}-predictor` : `${name}-${predictor}-predictor`;
}

/** The canary's predictor: made of what the user gave, or the one that is there; undefined when there is neither. */
async function canaryFor(plan: RolloutPlan, live: KubeObject): Promise<Readonly<Record<string, unknown>> | undefined> {
  const predictor = fieldOf(live, 'spec', 'predictor');
  const present = listOf(live, 'spec', 'canary');
  const written = await readChange(plan, live);
  if (present.length > (written === undefined ? 1 : 0)) {
    throw new ServingError(
      'conflict',
      `Cannot roll out ${plan.name}: it has ${present.length} in spec.canary already; roll one out without --file and --storage_uri, or take them back`,
    );
  }
  if (written === undefined) return fieldOf(present[0], 'predictor') as Readonly<Record<string, unknown>> | undefined;
  if (effectiveChange(written, live, { ...live, spec: { predictor: mergeFields(predictor, written) } }) === undefined) return undefined;
  const model = fieldOf(written, 'model');
  if (textOf(model, 'storageUri') === undefined || textOf(model, 'storageUri') === textOf(predictor, 'model', 'storageUri')) {
    throw new ServingError(
      'invalid_request',
      `Cannot roll out ${plan.name}: in Standard mode KServe promotes a canary only with another model.storageUri`,
    );
  }
  const fields = Object.fromEntries(Object.entries(written).filter(([field]) => !NOT_FOR_CANARIES.includes(field)));
  // A canary's model must say its format, which it shares with the stable one.
  const format = fieldOf(model, 'modelFormat') ?? fieldOf(predictor, 'model', 'modelFormat');
  return { name: plan.service.canaryName ?? `c${live.metadata.generation ?? 1}`, ...mergeFields(fields, { model: { modelFormat: format } }) };
}

function canaryPatch(cluster: Cluster, name: string, kept: unknown, predictor: unknown, trafficPercent: number): KubeObject {
  return predictorPatch(cluster, name, kept as object, { canary: [{ trafficPercent, predictor }] });
}

/** Somebody else wrote the route between our reading and our writing: the second time it is read anew. */
async function retryConflict(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isServingError(error) || error.reason !== 'conflict') throw error;
    await run();
  }
}

function observeService(live: KubeObject, state: RolloutState, weight: number | undefined): Observed {
  const { change, canary } = state;
  const own = textOf(change, 'name');
  const status = listOf(live, 'status', 'canaryStatuses').find((each) => textOf(each, 'name') === own);
  const interference = interferenceOf(live, state, weight);
  return {
    exists: true,
    isCanaryReady: fieldOf(status, 'ready') === true,
    isSettled: isSettled(live, state),
    ...(canary === undefined ? {} : { canary }),
    ...(weight === undefined ? {} : { weight }),
    ...(interference === undefined ? {} : { interference }),
  };
}

function interferenceOf(live: KubeObject, { phase, change, weight, previous }: RolloutState, actual: number | undefined): Observed['interference'] {
  if (phase !== 'shifting' && phase !== 'judging') return undefined;
  const canaries = listOf(live, 'spec', 'canary');
  if (canaries.length !== 1 || !hasFields(fieldOf(canaries[0], 'predictor'), change))
    return { reason: 'somebody has changed spec.canary', isUnsafe: true };
  if (textOf(live, 'spec', 'predictor', 'model', 'storageUri') !== textOf(previous, 'model', 'storageUri')) {
    return { reason: 'somebody has changed the stable model', isUnsafe: true };
  }
  if (phase === 'judging' && actual !== weight) {
    return {
      reason: `somebody has set the route to ${actual === undefined ? 'something else' : `${actual} %`} instead of ${weight} %`,
      isUnsafe: false,
    };
  }
  return undefined;
}

function isSettled(live: KubeObject, { phase, change }: RolloutState): boolean {
  // observedGeneration says nothing in this mode. That the canary's status is gone says that KServe has seen the change.
  const isReady = listOf(live, 'status', 'conditions').some((each) => textOf(each, 'type') === 'PredictorReady' && textOf(each, 'status') === 'True');
  const hasCanary = listOf(live, 'spec', 'canary').length > 0 || listOf(live, 'status', 'canaryStatuses').length > 0;
  if (phase === 'promoting') return isReady && !hasCanary && textOf(live, 'spec', 'predictor', 'name') === textOf(change, 'name');
  return phase === 'restoring' || phase === 'releasing' ? !hasCanary : false;
}
