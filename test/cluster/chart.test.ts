import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { apply } from './kubectl.ts';

const CHART = join(resolve(import.meta.dirname, '../..'), 'charts/kserve-node');
const run = promisify(execFile);

async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.env['HELM'] ?? 'helm', args, { maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

const render = (values: readonly string[], ...args: readonly string[]): Promise<string> =>
  helm('template', 'digits', CHART, '--namespace', 'models', ...args, ...values.flatMap((value) => ['--set', value]));

const RENDERINGS: readonly (readonly [what: string, values: readonly string[], kinds: readonly string[]])[] = [
  ['its defaults', [], ['InferenceService', 'Pod']],
  ['gRPC in Knative mode', ['model.protocolVersion=grpc-v2'], ['InferenceService', 'Pod']],
  ['Standard mode on a GPU', ['mode=standard', 'gpu.count=1', 'nodeSelector.pool=gpu'], ['InferenceService', 'Pod']],
  ['a part of a GPU', ['gpu.count=1', 'gpu.resource=nvidia.com/mig-1g.10gb'], ['InferenceService', 'Pod']],
  ['an account with keys', ['storage.create=true', 'storage.s3.existingSecret=s3-models'], ['InferenceService', 'Pod', 'ServiceAccount']],
  [
    'a Deployment without KServe',
    ['mode=deployment', 'replicas.max=1', 'storage.s3.existingSecret=s3-models', 'storage.s3.endpoint=minio:9000'],
    ['Deployment', 'Pod', 'PodDisruptionBudget', 'Service'],
  ],
  [
    'a claim',
    ['mode=deployment', 'model.uri=pvc://cache/digits/v2'],
    ['Deployment', 'HorizontalPodAutoscaler', 'Pod', 'PodDisruptionBudget', 'Service'],
  ],
  [
    'a canary behind a gateway',
    ['mode=deployment', 'route.kind=httproute', 'route.gateway=infra/public', 'canary.enabled=true', 'canary.imageTag=0.2.0'],
    ['Deployment', 'Deployment', 'HTTPRoute', 'HorizontalPodAutoscaler', 'Pod', 'PodDisruptionBudget', 'Service', 'Service'],
  ],
  [
    'a canary in the mesh, with monitoring and a network policy',
    [
      'mode=deployment',
      'route.kind=virtualservice',
      'canary.enabled=true',
      'canary.modelUri=s3://models/digits/v2',
      'networkPolicy.enabled=true',
      'monitoring.podMonitor=true',
    ],
    [
      'Deployment',
      'Deployment',
      'HorizontalPodAutoscaler',
      'NetworkPolicy',
      'Pod',
      'PodDisruptionBudget',
      'PodMonitor',
      'Service',
      'Service',
      'VirtualService',
    ],
  ],
];

describe('the chart', () => {
  it('passes helm lint', async () => {
    expect(await helm('lint', '--strict', CHART)).toContain('0 chart(s) failed');
  });

  it.each(RENDERINGS)('with %s makes what the API server takes', async (_, values, kinds) => {
    const yaml = await render(values);
    expect([...yaml.matchAll(/^kind: (\S+)$/gm)].map(([, kind]) => kind).sort()).toEqual(kinds);
    // Images, accounts and nodes are nobody's business here.
    expect(await apply(yaml, '--dry-run=server', '-n', 'models')).toContain('serverside-applied');
  });

  it('splits requests by the weight of the canary', async () => {
    const yaml = await render(['mode=deployment', 'route.kind=httproute', 'canary.enabled=true', 'canary.imageTag=0.2.0', 'canary.weight=30']);
    expect(yaml).toContain('name: digits, port: 80, weight: 70');
    expect(yaml).toContain('name: digits-canary, port: 80, weight: 30');
    expect(yaml).toContain('registry.example.com/kserve-node:0.2.0');
  });

  it('takes canaryTrafficPercent at an upgrade', async () => {
    expect(await render(['canaryTrafficPercent=10'], '--is-upgrade')).toContain('canaryTrafficPercent: 10');
  });

  it.each([
    ['an unknown mode', ['mode=serverless'], "value must be one of 'knative', 'standard', 'deployment'"],
    ['an unknown format', ['model.format=tensorflow'], "value must be 'onnx'"],
    ['an unknown value', ['modle.name=x'], "additional properties 'modle' not allowed"],
    ['a canary without a stable revision', ['canaryTrafficPercent=10'], 'canaryTrafficPercent needs a stable revision'],
    ['a canary with KServe', ['canary.enabled=true'], 'canary.enabled is for mode deployment, got mode knative'],
    [
      'a canary that is the same',
      ['mode=deployment', 'route.kind=httproute', 'canary.enabled=true'],
      'canary.enabled needs canary.imageTag or canary.modelUri',
    ],
    ['a canary that nothing routes to', ['mode=deployment', 'canary.enabled=true', 'canary.imageTag=0.2.0'], 'canary.enabled needs route.kind'],
    [
      'an account without secret or role',
      ['storage.create=true'],
      'storage.create needs storage.s3.existingSecret (keys) or storage.annotations (a role)',
    ],
    ['fewer pods at most than at least', ['replicas.min=20'], 'replicas: expected min (20) to be at most max (10)'],
    ['a route of its own beside KServe', ['route.kind=httproute'], 'route is for mode deployment, got mode knative'],
    ['a runtime without KServe', ['mode=deployment', 'runtime=x'], "runtime is KServe's"],
    ['an endpoint with a scheme', ['storage.s3.endpoint=http://minio'], '/storage/s3/endpoint'],
  ])('refuses %s', async (_, values, problem) => {
    await expect(render(values)).rejects.toThrow(problem);
  });
});
