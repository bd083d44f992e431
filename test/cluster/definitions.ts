import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CrdFixture, CrdSchema } from '../support/crd.ts';

const FIXTURES = resolve(import.meta.dirname, '../fixtures/crds');

/** The CustomResourceDefinitions of test/fixtures/crds, as an API server takes them. */
export function customResourceDefinitions(): readonly object[] {
  const fixtures = readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(FIXTURES, name), 'utf8')) as CrdFixture);
  // What is built in has no plural there.
  return fixtures.filter(({ names }) => names.plural !== '').map(definitionOf);
}

function definitionOf({ group, scope, names, stored, versions, parts }: CrdFixture): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${names.plural}.${group}`,
      // Groups of Kubernetes' own project are protected.
      ...(group.endsWith('.k8s.io') && { annotations: { 'api-approved.kubernetes.io': 'unapproved, test fixture' } }),
    },
    spec: {
      group,
      scope,
      names,
      versions: Object.entries(versions).map(([name, schema]) => ({
        name,
        served: true,
        storage: name === stored,
        schema: { openAPIV3Schema: withStatus(inlineParts(schema, parts)) },
        subresources: { status: {} },
      })),
    },
  };
}

/** Fixtures leave it out. */
function withStatus(schema: CrdSchema): CrdSchema {
  const status = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return { ...schema, properties: { ...(schema['properties'] as CrdSchema), status }, required: ['spec'] };
}

function inlineParts(value: unknown, parts: CrdFixture['parts']): CrdSchema {
  if (Array.isArray(value)) return value.map((each) => inlineParts(each, parts)) as unknown as CrdSchema;
  if (typeof value !== 'object' || value === null) return value as CrdSchema;
  const { $ref, ...rest } = value as { readonly $ref?: string };
  if ($ref !== undefined) return inlineParts(parts[$ref.replace('#/parts/', '')], parts);
  return Object.fromEntries(Object.entries(rest).map(([key, each]) => [key, inlineParts(each, parts)]));
}
