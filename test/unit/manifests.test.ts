import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crdProblems, readManifests, type Manifest } from '../support/crd.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const yamlUnder = (folder: string): string[] =>
  !existsSync(join(ROOT, folder))
    ? []
    : readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        // What kustomize reads, and the patches of its components, are no resources.
        .filter((name) => name.endsWith('.yaml') && !/kustomiz|components\//.test(name))
        .map((name) => join(folder, name));

const named = (text: string): string => text.replaceAll('__NAME__', 'my-model');

/** An InferenceService with `container` in its predictor. */
const serviceWith = (container: object): Manifest =>
  ({
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name: 'my-model' },
    spec: { predictor: { containers: [{ name: 'kserve-container', image: 'my-model:1', ...container }] } },
  }) as Manifest;

describe('manifests and templates', () => {
  it.each([...yamlUnder('manifests'), ...yamlUnder('runtimes'), ...yamlUnder('templates')])('%s is what the API server takes', (path) => {
    const manifests = readManifests(join(ROOT, path), named);
    expect(manifests.length).toBeGreaterThan(0);
    for (const manifest of manifests) expect([manifest.metadata.name, ...crdProblems(manifest)]).toEqual([manifest.metadata.name]);
  });
});

describe('crdProblems', () => {
  it('finds nothing in an InferenceService with a container', () => {
    expect(crdProblems(serviceWith({ ports: [{ containerPort: 8080 }], resources: { limits: { cpu: 1, memory: '1Gi' } } }))).toEqual([]);
  });

  it.each([
    ['an unknown field', { imagePullPolice: 'Always' }, '/spec/predictor/containers/0: must NOT have additional properties "imagePullPolice"'],
    ['a wrong type', { args: '--x' }, '/spec/predictor/containers/0/args: must be array'],
    ['a missing field', { ports: [{ name: 'h2c' }] }, "/spec/predictor/containers/0/ports/0: must have required property 'containerPort'"],
    ['an unknown field deep inside', { env: [{ name: 'A', valueFrom: { secretKeyRef: { nam: 'x', key: 'k' } } }] }, '"nam"'],
  ])('finds %s', (_, container, problem) => {
    expect(crdProblems(serviceWith(container)).join('\n')).toContain(problem);
  });

  it('finds that the metadata are missing', () => {
    const nameless = { ...serviceWith({}), metadata: undefined } as unknown as Manifest;
    expect(crdProblems(nameless)).toEqual(["/: must have required property 'metadata'"]);
  });

  it('throws for a kind whose schema is not there', () => {
    expect(() => crdProblems({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'x' } })).toThrow('Cannot check Node of v1: no such schema in');
  });
});
