import { isServingError, ServingError } from '../core/errors.ts';
import type { Clock } from './clock.ts';
import { fieldOf, KINDS, textOf, type Cluster, type KubeObject } from './cluster.ts';

/** One runner at a time, by a Lease that it renews. A runner that was killed loses it after its duration. */
export interface RunnerLease {
  /** Takes or renews it. Rejects with `conflict` when another runner has it, or has taken it meanwhile. */
  hold(): Promise<void>;
  /** It was renewed so lately that nobody else can have taken it. */
  isFresh(): boolean;
  /** Lets others have it at once. */
  release(): Promise<void>;
}

export interface LeaseOptions {
  readonly name: string;
  /** Of this runner, unlike that of any other. */
  readonly identity: string;
  readonly durationMs: number;
  readonly owner: KubeObject;
}

/**
 * Takes the lease, or waits as long as one of a killed runner lasts. Whether it still lasts is told by watching it for its duration, not by its time: clocks of
 * two machines need not agree.
 */
export async function takeLease(cluster: Cluster, options: LeaseOptions, clock: Clock, signal: AbortSignal): Promise<RunnerLease> {
  const { name, identity, durationMs } = options;
  let held: KubeObject | undefined;
  let renewedAt = 0;
  const write = async (before: KubeObject | undefined): Promise<void> => {
    const at = clock.now();
    const object = leaseObject(options, cluster.namespace, at, before);
    held = before === undefined ? await cluster.create(object) : await cluster.replace(object);
    renewedAt = at;
  };
  let seen: KubeObject | undefined;
  let seenAt = clock.now();
  for (;;) {
    const present = await cluster.read('Lease', name);
    const holder = textOf(present, 'spec', 'holderIdentity');
    if (present?.metadata.resourceVersion !== seen?.metadata.resourceVersion) {
      if (seen !== undefined && holder !== undefined) throw busy(options, holder);
      seen = present;
      seenAt = clock.now();
    }
    const lasts = Number(fieldOf(present, 'spec', 'leaseDurationSeconds') ?? durationMs / 1000) * 1000;
    if (holder === undefined || holder === identity || clock.now() - seenAt > lasts) {
      try {
        await write(present);
        break;
      } catch (error) {
        if (!isServingError(error) || error.reason !== 'conflict') throw error;
        throw busy(options, 'another runner');
      }
    }
    if (signal.aborted) throw new ServingError('cancelled', 'Told to stop while waiting for the lease of another runner');
    await clock.sleep(Math.min(1000, lasts / 5), signal);
  }
  return {
    isFresh: () => clock.now() - renewedAt < durationMs * 0.8,
    hold: async () => {
      const present = await cluster.read('Lease', name);
      const holder = textOf(present, 'spec', 'holderIdentity');
      if (holder !== undefined && holder !== identity) throw busy(options, holder);
      await write(present);
    },
    release: async () => {
      const { spec, ...rest } = held ?? leaseObject(options, cluster.namespace, clock.now(), undefined);
      await cluster.replace({ ...rest, spec: { ...(spec as object), holderIdentity: null } });
    },
  };
}

function busy({ name }: LeaseOptions, holder: string): ServingError {
  const message = `Cannot run two rollouts at once: ${holder} holds the lease ${name} and renews it`;
  return new ServingError('conflict', message, { details: { leaseHolder: holder } });
}

/** Another runner has the lease. */
export function isBusy(error: unknown): boolean {
  return isServingError(error) && error.details?.['leaseHolder'] !== undefined;
}

function leaseObject({ name, identity, durationMs, owner }: LeaseOptions, namespace: string, at: number, before: KubeObject | undefined): KubeObject {
  const time = new Date(at).toISOString().replace('Z', '000Z');
  const acquired = textOf(before, 'spec', 'holderIdentity') === identity ? (textOf(before, 'spec', 'acquireTime') ?? time) : time;
  const spec = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(durationMs / 1000), acquireTime: acquired, renewTime: time };
  if (before !== undefined) return { ...before, spec };
  return { apiVersion: KINDS.Lease.apiVersion, kind: 'Lease', metadata: { name, namespace, ownerReferences: [ownerReference(owner)] }, spec };
}

/** What belongs to an object goes with it. */
export function ownerReference({ apiVersion, kind, metadata: { name, uid } }: KubeObject): object {
  return { apiVersion, kind, name, uid };
}
