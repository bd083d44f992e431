import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { apply, kubectl } from './kubectl.ts';

const ROOT = resolve(import.meta.dirname, '../..');

const yamlUnder = (folder: string): readonly string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    // What kustomize patches is not whole; the suite looks at what comes out.
    .filter((name) => name.endsWith('.yaml') && !/kustomiz|components\/|overlays\//.test(name))
    .map((name) => join(folder, name));

const kustomizations = ['runtimes', 'manifests'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('kustomization.yaml') && readFileSync(join(ROOT, folder, name), 'utf8').includes('kind: Kustomization'))
    .map((name) => join(folder, name, '..')),
);

describe('the API server', () => {
  it.each([...yamlUnder('runtimes'), ...yamlUnder('manifests'), ...yamlUnder('templates')])('takes %s', async (path) => {
    const yaml = readFileSync(join(ROOT, path), 'utf8').replaceAll('__NAME__', 'my-model');
    expect(await apply(yaml, '--dry-run=server')).toContain('serverside-applied');
  });

  it.each(kustomizations)('takes what kustomize makes of %s', async (path) => {
    const yaml = await kubectl('kustomize', join(ROOT, path));
    expect(await apply(yaml, '--dry-run=server')).toContain('serverside-applied');
  });

  it('refuses a field that is misspelled', async () => {
    const yaml = readFileSync(join(ROOT, 'manifests/serverless.yaml'), 'utf8').replace('minReplicas', 'minReplica');
    await expect(apply(yaml, '--dry-run=server')).rejects.toThrow('field not declared in schema');
  });
});

describe('two field managers', () => {
  it('leave a percentage to the rollout that set it, as long as Git does not name it', async () => {
    const yaml = readFileSync(join(ROOT, 'manifests/serverless.yaml'), 'utf8');
    await apply(yaml, '--field-manager=kustomize-controller');
    const percentage = { apiVersion: 'serving.kserve.io/v1beta1', kind: 'InferenceService', metadata: { name: 'digits', namespace: 'models' } };
    await apply(JSON.stringify({ ...percentage, spec: { predictor: { canaryTrafficPercent: 30 } } }), '--field-manager=rollout');
    await apply(yaml.replace('scaleTarget: 8', 'scaleTarget: 9'), '--field-manager=kustomize-controller', '--force-conflicts');
    const spec = '{.spec.predictor.canaryTrafficPercent} {.spec.predictor.scaleTarget}';
    expect(await kubectl('get', 'inferenceservice/digits', '-n', 'models', '-o', `jsonpath=${spec}`)).toBe('30 9');
  });

  it('conflict where both name it', async () => {
    const yaml = readFileSync(join(ROOT, 'manifests/canary.yaml'), 'utf8');
    await apply(yaml, '--field-manager=kustomize-controller');
    await expect(apply(yaml.replace('canaryTrafficPercent: 10', 'canaryTrafficPercent: 20'), '--field-manager=rollout')).rejects.toThrow('conflict');
  });
});

it('has something to look at', () => {
  expect(kustomizations.length).toBeGreaterThan(3);
  expect(existsSync(join(ROOT, 'runtimes/kustomization.yaml'))).toBe(true);
});
