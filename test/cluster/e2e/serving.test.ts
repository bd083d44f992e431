import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectl } from '../kubectl.ts';
import { applyService, cleanUp, eventually, field, hostOf, pods, prepare, SURROUNDINGS, waitReady } from './surroundings.ts';
import { inferByGrpc, labelOf, post, startTraffic } from './traffic.ts';

const { ingress, namespace } = SURROUNDINGS;
const grpcIngress = `${ingress.hostname}:${ingress.port || '80'}`;

beforeAll(prepare, 120_000);
afterAll(cleanUp, 180_000);

async function clusterIp(service: string): Promise<string> {
  return kubectl('get', `service/${service}`, '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}');
}

describe('an InferenceService in Knative mode', () => {
  it('with onnx and v2 gets kserve-node, answers v2 and v1, goes to zero and comes back', async () => {
    await applyService('digits', { protocolVersion: 'v2', minReplicas: 0 });
    await waitReady('digits');
    expect(await field('digits', '.status.clusterServingRuntimeName')).toBe('kserve-node');
    const answer = await post(ingress, hostOf('digits'), '/v2/models/digits/infer');
    expect([answer.status, labelOf(answer)]).toEqual([200, 1]);
    await eventually('no pod', 150, async () => (await pods('digits')).length === 0);
    const again = await post(ingress, hostOf('digits'), '/v2/models/digits/infer');
    expect([again.status, labelOf(again)]).toEqual([200, 1]);
  });

  it('with grpc-v2 gets kserve-node-grpc, which answers gRPC and REST on its one port', async () => {
    await applyService('digits-grpc', { protocolVersion: 'grpc-v2', minReplicas: 0 });
    await waitReady('digits-grpc');
    expect(await field('digits-grpc', '.status.clusterServingRuntimeName')).toBe('kserve-node-grpc');
    expect(await inferByGrpc(grpcIngress, hostOf('digits-grpc'), 'digits-grpc')).toBe(1);
    const answer = await post(ingress, hostOf('digits-grpc'), '/v2/models/digits-grpc/infer');
    expect([answer.status, labelOf(answer)]).toEqual([200, 1]);
  });

  it('loses no request while a canary goes from 10 to 100 percent, nor when another is rolled back', async () => {
    await applyService('canary', { protocolVersion: 'v2', env: { RELEASE: '1' } });
    await waitReady('canary');
    const traffic = startTraffic(ingress, hostOf('canary'), '/v2/models/canary/infer');
    const shares = (): Promise<string> => field('canary', '.status.components.predictor.traffic[*].percent');
    const release = async (RELEASE: string, percent: number, expected: string): Promise<void> => {
      await applyService('canary', { protocolVersion: 'v2', env: { RELEASE }, canaryTrafficPercent: percent });
      await eventually(`traffic ${expected}`, 120, async () => (await shares()) === expected);
      await waitReady('canary');
      const before = traffic.answered;
      await eventually('answers', 30, () => Promise.resolve(traffic.answered > before + 50));
    };
    await release('2', 10, '10 90');
    await release('2', 50, '50 50');
    await release('2', 100, '100');
    await release('3', 10, '10 90');
    await release('3', 0, '0 100');
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
  });

  it('loses no request while its pods are replaced and deleted', async () => {
    await applyService('replaced', { protocolVersion: 'v2', minReplicas: 2, env: { RELEASE: '1' } });
    await waitReady('replaced');
    const traffic = startTraffic(ingress, hostOf('replaced'), '/v2/models/replaced/infer');
    await applyService('replaced', { protocolVersion: 'v2', minReplicas: 2, env: { RELEASE: '2' } });
    const ready = (): Promise<string> => field('replaced', '.status.components.predictor.latestReadyRevision');
    await eventually('the second revision', 120, async () => (await ready()).endsWith('00002'));
    await waitReady('replaced');
    const [pod] = (await pods('replaced')).filter(({ metadata }) => metadata.deletionTimestamp === undefined && metadata.name.includes('00002'));
    await kubectl('delete', 'pod', pod?.metadata.name ?? '', '-n', namespace, '--timeout=120s');
    await traffic.stop();
    expect(traffic.answered).toBeGreaterThan(100);
    expect(traffic.failures).toEqual([]);
  });
});

describe('an InferenceService in Standard mode', () => {
  it('answers REST on port 80 and gRPC on 8081 of its Service, as any user', async () => {
    await applyService('standard', { mode: 'Standard', runtime: 'kserve-node-standard', runAsUser: 54321 });
    await waitReady('standard');
    const ip = await clusterIp('standard-predictor');
    const answer = await post(new URL(`http://${ip}`), ip, '/v2/models/standard/infer');
    expect([answer.status, labelOf(answer)]).toEqual([200, 1]);
    expect(await inferByGrpc(`${ip}:8081`, ip, 'standard')).toBe(1);
  });

  it('loses no request while its Deployment is rolled', async () => {
    await applyService('rolled', { mode: 'Standard', runtime: 'kserve-node-standard', minReplicas: 2 });
    await waitReady('rolled');
    const ip = await clusterIp('rolled-predictor');
    const traffic = startTraffic(new URL(`http://${ip}`), ip, '/v2/models/rolled/infer');
    await kubectl('rollout', 'restart', 'deployment/rolled-predictor', '-n', namespace);
    await kubectl('rollout', 'status', 'deployment/rolled-predictor', '-n', namespace, '--timeout=180s');
    await eventually('old pods are gone', 60, async () => (await pods('rolled')).every(({ metadata }) => metadata.deletionTimestamp === undefined));
    await traffic.stop();
    expect(traffic.answered).toBeGreaterThan(100);
    expect(traffic.failures).toEqual([]);
  });
});

describe('an InferenceService whose model is not there', () => {
  it('says so in its status', async () => {
    await applyService('missing', { mode: 'Standard', runtime: 'kserve-node-standard', modelUri: `${SURROUNDINGS.modelUri}-missing` });
    const reason = (): Promise<string> => field('missing', '.status.modelStatus.lastFailureInfo.message');
    await eventually('a reason', 120, async () => (await reason()) !== '');
    expect(await reason()).toContain(`${SURROUNDINGS.modelUri}-missing`);
  });
});
