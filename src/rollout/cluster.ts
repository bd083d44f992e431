/** An object as the API server has it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export type Kind = keyof typeof KINDS;

/** What a rollout touches: API version and plural of each kind. */
export const KINDS = {
  InferenceService: { apiVersion: 'serving.kserve.io/v1beta1', plural: 'inferenceservices' },
  ConfigMap: { apiVersion: 'v1', plural: 'configmaps' },
  Event: { apiVersion: 'v1', plural: 'events' },
  Lease: { apiVersion: 'coordination.k8s.io/v1', plural: 'leases' },
  HTTPRoute: { apiVersion: 'gateway.networking.k8s.io/v1', plural: 'httproutes' },
  VirtualService: { apiVersion: 'networking.istio.io/v1', plural: 'virtualservices' },
} as const;

export interface ApplyOptions {
  /** Takes fields of other managers. */
  readonly force: boolean;
  readonly dryRun?: boolean;
}

/**
 * The part of the Kubernetes API that a rollout needs. Rejects with a ServingError: `conflict` (409; `details.conflicts` of an apply), `permission_denied`,
 * `invalid_request`, or `upstream_failed` when asking again may help.
 */
export interface Cluster {
  readonly namespace: string;
  /** Undefined when there is none of that name. */
  read(kind: Kind, name: string): Promise<KubeObject | undefined>;
  create(object: KubeObject): Promise<KubeObject>;
  /** Fails with `conflict` unless `metadata.resourceVersion` is the present one. */
  replace(object: KubeObject): Promise<KubeObject>;
  /** Server-side apply as field manager `kserve-node-rollout`. */
  apply(object: KubeObject, options: ApplyOptions): Promise<KubeObject>;
}

export const FIELD_MANAGER = 'kserve-node-rollout';

/** A nested field of an object from outside, undefined where the way ends. */
export function fieldOf(object: unknown, ...path: readonly (string | number)[]): unknown {
  let at = object;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Readonly<Record<string | number, unknown>>)[key];
  }
  return at;
}

export function textOf(object: unknown, ...path: readonly (string | number)[]): string | undefined {
  const value = fieldOf(object, ...path);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function listOf(object: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const value = fieldOf(object, ...path);
  return Array.isArray(value) ? value : [];
}
