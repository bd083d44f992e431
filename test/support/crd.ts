import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { loadAll } from 'js-yaml';

/** A structural schema of Kubernetes. */
export type CrdSchema = Readonly<Record<string, unknown>>;

/** What `test/fixtures/crds` keeps of a CustomResourceDefinition, or of a kind that is built in; `parts` are what its schemas refer to as `#/parts/NAME`. */
export interface CrdFixture {
  readonly group: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly names: { readonly kind: string; readonly plural: string; readonly singular?: string; readonly listKind?: string };
  /** The version that the API server stores. */
  readonly stored: string;
  /** Served versions. */
  readonly versions: Readonly<Record<string, CrdSchema>>;
  readonly parts: Readonly<Record<string, CrdSchema>>;
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const CRDS = resolve(import.meta.dirname, '../fixtures/crds');

/** The documents of a YAML file or text; `replace` fills in placeholders. */
export function readManifests(path: string, replace: (text: string) => string = (text) => text): readonly Manifest[] {
  return loadAll(replace(readFileSync(path, 'utf8'))).filter((document) => document !== null) as Manifest[];
}

/**
 * Why an API server that knows the custom resources of `test/fixtures/crds` would refuse this one, unknown fields included, as `kubectl apply` does by
 * default; empty when it would take it. Rules in CEL are not run. Throws for a kind that is not there.
 */
export function crdProblems(manifest: Manifest): readonly string[] {
  const validate = validatorOf(manifest);
  return validate(manifest) ? [] : (validate.errors ?? []).map(describeProblem);
}

const VALIDATORS = new Map<string, ValidateFunction>();

function validatorOf({ apiVersion, kind }: Manifest): ValidateFunction {
  const key = `${apiVersion}/${kind}`;
  const validate = VALIDATORS.get(key) ?? compileSchema(apiVersion, kind);
  VALIDATORS.set(key, validate);
  return validate;
}

function compileSchema(apiVersion: string, kind: string): ValidateFunction {
  const file = `${kind.toLowerCase()}.${apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : 'core'}.json`;
  const known = existsSync(join(CRDS, file)) ? (JSON.parse(readFileSync(join(CRDS, file), 'utf8')) as CrdFixture) : undefined;
  const [version = ''] = Object.keys(known?.versions ?? {}).filter((name) => apiVersion === (known?.group ? `${known.group}/${name}` : name));
  const schema = known?.versions[version];
  if (known === undefined || schema === undefined) throw new Error(`Cannot check ${kind} of ${apiVersion}: no such schema in ${CRDS}`);
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false, code: { regExp: GO_REG_EXP } });
  ajv.addSchema({ $id: file, parts: mapValues(known.parts, closeSchema) });
  const absolute = JSON.stringify(closeSchema(schema)).replaceAll('"#/parts/', `"${file}#/parts/`);
  return ajv.compile(JSON.parse(absolute) as object);
}

/** Go's syntax has flags inside of the pattern. */
const GO_REG_EXP = Object.assign(
  (pattern: string, flags: string) => new RegExp(pattern.replace('(?i)', ''), pattern.includes('(?i)') ? `${flags}i` : flags),
  {
    code: 'new RegExp',
  },
);

/** A structural schema says what is known of an object; what it does not say is unknown and refused, unless it says otherwise. */
function closeSchema(schema: CrdSchema): CrdSchema {
  const closed: Record<string, unknown> = { ...schema };
  const { properties, items, additionalProperties } = schema;
  if (isSchema(properties)) closed['properties'] = mapValues(properties as Readonly<Record<string, CrdSchema>>, closeSchema);
  if (isSchema(items)) closed['items'] = closeSchema(items);
  if (isSchema(additionalProperties)) closed['additionalProperties'] = closeSchema(additionalProperties);
  else if (isSchema(properties) && schema['x-kubernetes-preserve-unknown-fields'] !== true) closed['additionalProperties'] = false;
  return closed;
}

function isSchema(value: unknown): value is CrdSchema {
  return typeof value === 'object' && value !== null;
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function describeProblem({ instancePath, message, params }: ErrorObject): string {
  const field = 'additionalProperty' in params ? ` "${String(params['additionalProperty'])}"` : '';
  return `${instancePath || '/'}: ${message ?? 'is wrong'}${field}`;
}
