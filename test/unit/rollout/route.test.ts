import { describe, expect, it } from 'vitest';
import type { Cluster, KubeObject } from '../../../src/rollout/cluster.ts';
import { openRoute, type Route } from '../../../src/rollout/route.ts';

const BACKENDS = { stable: 'digits-predictor', canary: 'digits-c2-predictor' };

/** A cluster of one route. */
function routeOf(name: string, kind: string, spec: object): { readonly route: Route; readonly spec: () => unknown; readonly writes: () => number } {
  let object: KubeObject = { apiVersion: 'x/v1', kind, metadata: { name: 'digits', namespace: 'models' }, spec };
  let writes = 0;
  const cluster = {
    namespace: 'models',
    read: (_kind: string, wanted: string) => Promise.resolve(wanted === 'digits' ? object : undefined),
    replace: (changed: KubeObject) => {
      object = changed;
      writes++;
      return Promise.resolve(changed);
    },
  } as unknown as Cluster;
  return { route: openRoute(cluster, name), spec: () => object['spec'], writes: () => writes };
}

const httpRoute = (...backendRefs: readonly object[]): ReturnType<typeof routeOf> =>
  routeOf('httproute/digits', 'HTTPRoute', {
    parentRefs: [{ name: 'gateway' }],
    rules: [{ matches: [{ path: { value: '/' } }], backendRefs }, { backendRefs: [{ name: 'other', port: 80 }] }],
  });

describe('an HTTPRoute', () => {
  it('gets the canary beside the stable service, more of it, all of it, and at last alone', async () => {
    const { route, spec } = httpRoute({ name: 'digits-predictor', port: 80 });
    expect(await route.weight(BACKENDS)).toBe(0);
    await route.split(BACKENDS, 10);
    expect(spec()).toMatchObject({
      rules: [
        {
          matches: [{ path: { value: '/' } }],
          backendRefs: [
            { name: 'digits-predictor', port: 80, weight: 90 },
            { name: 'digits-c2-predictor', port: 80, weight: 10 },
          ],
        },
        { backendRefs: [{ name: 'other', port: 80 }] },
      ],
    });
    expect(await route.weight(BACKENDS)).toBe(10);
    await route.split(BACKENDS, 100);
    expect(await route.weight(BACKENDS)).toBe(100);
    await route.split(BACKENDS, 100, true);
    expect(spec()).toMatchObject({ rules: [{ backendRefs: [{ name: 'digits-c2-predictor', port: 80 }] }, {}] });
  });

  it('is what it was after the way back, and is not written twice', async () => {
    const { route, spec, writes } = httpRoute({ name: 'digits-predictor', port: 80 });
    const before = JSON.stringify(spec());
    await route.split(BACKENDS, 0);
    expect(writes()).toBe(0);
    await route.split(BACKENDS, 30);
    await route.split(BACKENDS, 30);
    expect(writes()).toBe(1);
    await route.split(BACKENDS, 0);
    expect(JSON.stringify(spec())).toBe(before);
  });

  it.each([
    ['sends nothing to the stable service', [{ name: 'else', port: 80 }], 'no rule of HTTPRoute digits sends any to digits-predictor'],
    [
      'sends some elsewhere',
      [{ name: 'digits-predictor' }, { name: 'else' }],
      'sends some of it elsewhere than to digits-predictor and digits-c2-predictor',
    ],
  ])('is refused when it %s', async (_, refs, problem) => {
    await expect(httpRoute(...refs).route.check(BACKENDS)).rejects.toThrow(problem);
  });

  it('is missed by name', async () => {
    const { route } = routeOf('httproute/gone', 'HTTPRoute', {});
    await expect(route.check(BACKENDS)).rejects.toThrow('there is no HTTPRoute gone in namespace models');
    expect(await route.weight(BACKENDS)).toBeUndefined();
  });
});

describe('a VirtualService', () => {
  it('keeps ports, domains and everything else of its destinations', async () => {
    const destination = { host: 'digits-predictor.models.svc.cluster.local', port: { number: 80 } };
    const { route, spec } = routeOf('virtualservice/digits', 'VirtualService', {
      hosts: ['digits'],
      http: [{ retries: { attempts: 2 }, route: [{ destination }] }],
    });
    expect(await route.weight(BACKENDS)).toBe(0);
    await route.split(BACKENDS, 25);
    expect(spec()).toEqual({
      hosts: ['digits'],
      http: [
        {
          retries: { attempts: 2 },
          route: [
            { destination, weight: 75 },
            { destination: { ...destination, host: 'digits-c2-predictor.models.svc.cluster.local' }, weight: 25 },
          ],
        },
      ],
    });
    expect(await route.weight(BACKENDS)).toBe(25);
  });
});
