import { readFile } from 'node:fs/promises';
import { isServingError, ServingError } from '../core/errors.ts';
import { FIELD_MANAGER, fieldOf, KINDS, listOf, textOf, type Cluster, type KubeObject } from './cluster.ts';
import { hasFields, omitField, ownedShape, pickFields } from './fields.ts';
import { importLibrary } from './kubernetes.ts';
import type { RolloutPlan } from './plan.ts';

/** What the user wants spec.predictor to become: the fields to apply, undefined when the canary is there already. */
export async function readChange({ name, service }: RolloutPlan, live: KubeObject): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (service.storageUri !== undefined) {
    if (fieldOf(live, 'spec', 'predictor', 'model') !== undefined) return { model: { storageUri: service.storageUri } };
    throw new ServingError(
      'invalid_request',
      `Cannot set --storage_uri: spec.predictor of InferenceService ${name} has no "model", give its new predictor by --file`,
    );
  }
  if (service.file === undefined) return undefined;
  const written = await readYaml(service.file);
  const [kind, of] = [textOf(written, 'kind'), textOf(written, 'metadata', 'name')];
  const predictor = fieldOf(written, 'spec', 'predictor');
  if (kind !== 'InferenceService' || of !== name || typeof predictor !== 'object' || predictor === null) {
    const got = kind === undefined ? 'something else' : `${kind} ${of ?? 'without a name'}`;
    throw new ServingError('invalid_request', `Cannot use --file ${service.file}: expected InferenceService ${name} with spec.predictor, got ${got}`);
  }
  // Traffic is the rollout's own business.
  return Object.fromEntries(Object.entries(predictor).filter(([field]) => field !== 'canaryTrafficPercent'));
}

/** What earlier rollouts have applied to spec.predictor and still own, their traffic excepted. */
export function keptFields(live: KubeObject): Readonly<Record<string, unknown>> {
  const shape = ownedShape(live.metadata['managedFields'], FIELD_MANAGER, ['spec', 'predictor']);
  return omitField(pickFields(fieldOf(live, 'spec', 'predictor'), shape), 'canaryTrafficPercent');
}

/** YAML or JSON, which is YAML, too. */
export async function readYaml(path: string): Promise<unknown> {
  const { loadYaml } = await importLibrary();
  try {
    return loadYaml(await readFile(path, 'utf8'));
  } catch (error) {
    throw new ServingError(
      'invalid_request',
      `Cannot read ${path}: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
      { cause: error },
    );
  }
}

/** An InferenceService with nothing but these fields of its predictor: what server-side apply takes as all that we own. */
export function predictorPatch(cluster: Cluster, name: string, predictor: object, spec: object = {}): KubeObject {
  return {
    apiVersion: KINDS.InferenceService.apiVersion,
    kind: 'InferenceService',
    metadata: { name, namespace: cluster.namespace },
    spec: { ...spec, ...(Object.keys(predictor).length === 0 ? {} : { predictor }) },
  };
}

/**
 * Lets the API server check an apply: its schema, KServe's webhooks, whose fields they are. Fields that people set with kubectl are taken over; those that
 * another manager applies again and again are refused, unless told otherwise, because they would be put back in the middle of the rollout.
 */
export async function dryApply(cluster: Cluster, object: KubeObject, isForced: boolean): Promise<KubeObject> {
  try {
    return await cluster.apply(object, { force: false, dryRun: true });
  } catch (error) {
    if (!isServingError(error) || error.reason !== 'conflict') throw error;
    const conflicts = listOf(error.details, 'conflicts');
    const foreign = conflicts.filter(
      (conflict) => !/^conflict with "(kubectl|before-first-apply|kserve-node)/.test(textOf(conflict, 'message') ?? ''),
    );
    if (foreign.length > 0 && !isForced) {
      const said = foreign.map((conflict) => `${textOf(conflict, 'field') ?? ''} (${textOf(conflict, 'message') ?? ''})`).join(', ');
      throw new ServingError(
        'conflict',
        `Cannot roll out: other field managers own ${said}; let them leave these fields alone, then give --force_conflicts`,
        {
          cause: error,
        },
      );
    }
    return cluster.apply(object, { force: true, dryRun: true });
  }
}

/** The change as the API server stores it, undefined when it would change nothing. */
export function effectiveChange(change: unknown, live: KubeObject, dry: KubeObject): Readonly<Record<string, unknown>> | undefined {
  const stored = pickFields(fieldOf(dry, 'spec', 'predictor'), change);
  return hasFields(fieldOf(live, 'spec', 'predictor'), stored) ? undefined : stored;
}
