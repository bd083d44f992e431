import { invalidRequest } from '../core/errors.ts';
import { fieldOf, listOf, textOf, type Cluster, type Kind, type KubeObject } from './cluster.ts';
import { omitField } from './fields.ts';

/** Services that a route sends traffic to. */
export interface Backends {
  readonly stable: string;
  readonly canary: string;
}

interface RouteKind {
  readonly kind: Kind;
  readonly rules: string;
  readonly backends: string;
  readonly serviceOf: (backend: unknown) => string | undefined;
  readonly withService: (backend: unknown, service: string) => object;
}

const ROUTE_KINDS: Readonly<Record<string, RouteKind>> = {
  httproute: {
    kind: 'HTTPRoute',
    rules: 'rules',
    backends: 'backendRefs',
    serviceOf: (backend) => textOf(backend, 'name'),
    withService: (backend, service) => ({ ...(backend as object), name: service }),
  },
  virtualservice: {
    kind: 'VirtualService',
    rules: 'http',
    backends: 'route',
    // digits-predictor, digits-predictor.models, digits-predictor.models.svc.cluster.local
    serviceOf: (backend) => textOf(backend, 'destination', 'host')?.split('.')[0],
    withService: (backend, service) => {
      const destination = fieldOf(backend, 'destination') as object;
      const [, ...domain] = (textOf(destination, 'host') ?? '').split('.');
      return { ...(backend as object), destination: { ...destination, host: [service, ...domain].join('.') } };
    },
  },
};

/** The HTTPRoute (Gateway API) or VirtualService (Istio) that splits traffic; `name` is KIND/NAME. */
export interface Route {
  /** Percent that the canary has, the least of all rules; undefined when the route is gone or sends nothing to either. */
  weight(backends: Backends): Promise<number | undefined>;
  /** 0: the stable service alone; `isFinal`: the canary's alone. Does nothing when it is so already. Rejects when no rule has one of them. */
  split(backends: Backends, weight: number, isFinal?: boolean): Promise<void>;
  /** What `split` would refuse. */
  check(backends: Backends): Promise<void>;
}

export function openRoute(cluster: Cluster, name: string): Route {
  const [kindName = '', objectName = ''] = name.split('/');
  const of = ROUTE_KINDS[kindName];
  if (of === undefined) throw invalidRequest(`Cannot split traffic by ${name}: expected httproute/NAME or virtualservice/NAME`);
  const read = async (): Promise<KubeObject> => {
    const route = await cluster.read(of.kind, objectName);
    if (route === undefined) throw invalidRequest(`Cannot split traffic: there is no ${of.kind} ${objectName} in namespace ${cluster.namespace}`);
    return route;
  };
  return {
    weight: async (backends) => {
      const route = await cluster.read(of.kind, objectName);
      return route === undefined ? undefined : weightIn(route, of, backends);
    },
    split: async (backends, weight, isFinal = false) => {
      const route = await read();
      const changed = withWeight(route, of, backends, weight, isFinal);
      if (JSON.stringify(changed) !== JSON.stringify(route)) await cluster.replace(changed);
    },
    check: async (backends) => {
      withWeight(await read(), of, backends, 0, false);
    },
  };
}

function weightIn(route: KubeObject, { rules, backends: field, serviceOf }: RouteKind, { stable, canary }: Backends): number | undefined {
  let least: number | undefined;
  for (const rule of listOf(route, 'spec', rules)) {
    const shares = { stable: 0, canary: 0 };
    const backends = listOf(rule, field);
    for (const backend of backends) {
      // Of one backend alone the weight says nothing; of several, HTTPRoute has 1 for none and Istio 0.
      const weight = Number(fieldOf(backend, 'weight') ?? (field === 'backendRefs' || backends.length === 1 ? 1 : 0));
      if (serviceOf(backend) === stable) shares.stable += weight;
      if (serviceOf(backend) === canary) shares.canary += weight;
    }
    const sum = shares.stable + shares.canary;
    if (sum > 0) least = Math.min(least ?? 100, Math.round((shares.canary / sum) * 100));
  }
  return least;
}

function withWeight(route: KubeObject, of: RouteKind, { stable, canary }: Backends, weight: number, isFinal: boolean): KubeObject {
  let found = 0;
  const rules = listOf(route, 'spec', of.rules).map((rule) => {
    const backends = listOf(rule, of.backends);
    const ours = backends.filter((backend) => [stable, canary].includes(of.serviceOf(backend) ?? ''));
    const [first] = ours;
    if (first === undefined) return rule;
    if (ours.length < backends.length) {
      throw invalidRequest(
        `Cannot split traffic: a rule of ${of.kind} ${route.metadata.name ?? ''} sends some of it elsewhere than to ${stable} and ${canary}`,
      );
    }
    found++;
    const plain = omitField(first as { readonly weight?: unknown }, 'weight');
    const one = (service: string): object => of.withService(plain, service);
    const split = isFinal
      ? [one(canary)]
      : weight === 0
        ? [one(stable)]
        : [
            { ...one(stable), weight: 100 - weight },
            { ...one(canary), weight },
          ];
    return { ...(rule as object), [of.backends]: split };
  });
  if (found === 0) throw invalidRequest(`Cannot split traffic: no rule of ${of.kind} ${route.metadata.name ?? ''} sends any to ${stable}`);
  return { ...route, spec: { ...(route['spec'] as object), [of.rules]: rules } };
}
