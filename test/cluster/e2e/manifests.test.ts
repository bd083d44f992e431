import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apply } from '../kubectl.ts';
import { cleanUp, prepare, REQUEST, ROOT, SURROUNDINGS, waitReady } from './surroundings.ts';
import { post, type Answer } from './traffic.ts';

const { ingress, namespace, domain, image, modelUri } = SURROUNDINGS;

beforeAll(prepare, 120_000);
afterAll(cleanUp, 180_000);

/** The manifest as it is, but for what differs from cluster to cluster, and small enough for a node with two processors. */
async function applyManifest(file: string): Promise<void> {
  const yaml = readFileSync(join(ROOT, 'manifests', file), 'utf8')
    .replaceAll(/^( +)namespace: models$/gm, `$1namespace: ${namespace}`)
    .replaceAll('registry.example.com/kserve-node:0.1.0', image)
    .replaceAll('s3://models/digits', modelUri)
    .replaceAll(/requests: \{ cpu: [^,]+,/g, 'requests: { cpu: 50m,')
    .replaceAll(/(modelFormat: \{ name: onnx \})/g, '$1\n      resources: { requests: { cpu: 50m, memory: 128Mi } }');
  await apply(yaml, '--force-conflicts');
}

const { inputs } = JSON.parse(REQUEST.toString()) as { readonly inputs: readonly [{ readonly data: readonly number[] }] };
const ROW = inputs[0].data;
const SCAN = { inputs: [{ name: 'scan', datatype: 'UINT8', shape: [1, 64], data: ROW.map((ink) => Math.round(ink * 16)) }] };

const ask = (component: string, path: string, body: object): Promise<Answer> =>
  post(ingress, `${component}.${namespace}.${domain}`, path, undefined, Buffer.from(JSON.stringify(body)));

it('handler-configmap.yaml answers with what its handler says', async () => {
  await applyManifest('handler-configmap.yaml');
  await waitReady('digits-handler');
  const { status, body } = await ask('digits-handler-predictor', '/v2/models/digits-handler/infer', SCAN);
  expect([status, body]).toEqual([200, expect.stringContaining('"data":["It is a 1"]')]);
});

it('transformer.yaml asks its predictor', async () => {
  await applyManifest('transformer.yaml');
  await waitReady('digits-says');
  const { status, body } = await ask('digits-says-transformer', '/v2/models/digits-says/infer', SCAN);
  expect([status, body]).toEqual([200, expect.stringContaining('"data":["It is a 1"]')]);
});

it('explainer.yaml explains what its predictor says', async () => {
  const rows = Array.from({ length: 5 }, (_, row) => ROW.map((ink) => ((ink * 16 + row * 3) % 16) / 16).join(','));
  const background = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'digits-background', namespace },
    data: { 'rows.csv': `${rows.join('\n')}\n` },
  };
  await apply(JSON.stringify(background));
  await applyManifest('explainer.yaml');
  await waitReady('digits-why');
  const { status, body } = await ask('digits-why-explainer', '/v1/models/digits-why:explain', { instances: [{ input: ROW }] });
  expect([status, body]).toEqual([200, expect.stringContaining('"shap_values"')]);
});
