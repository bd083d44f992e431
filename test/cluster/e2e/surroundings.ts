import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { apply, kubectl, list, type KubernetesObject, type Pod } from '../kubectl.ts';

export const ROOT = resolve(import.meta.dirname, '../../..');

/**
 * What the suite cannot know of the cluster that KUBECONFIG names. The images of runtimes/ must be there for its nodes; `KSERVE_NODE_IMAGE` replaces their name.
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL are what pods read KSERVE_NODE_MODEL_URI with.
 */
export const SURROUNDINGS = {
  /** Where Knative's ingress answers, HTTP/1.1 and HTTP/2 with prior knowledge. */
  ingress: new URL(process.env['KSERVE_NODE_INGRESS'] ?? 'http://127.0.0.1'),
  image: process.env['KSERVE_NODE_IMAGE'] ?? 'registry.example.com/kserve-node:0.1.0',
  /** A directory in storage with examples/digits/model/model.onnx. */
  modelUri: process.env['KSERVE_NODE_MODEL_URI'] ?? 's3://models/digits',
  domain: process.env['KSERVE_NODE_DOMAIN'] ?? 'example.com',
  namespace: process.env['KSERVE_NODE_NAMESPACE'] ?? 'kserve-node-e2e',
};

/** The request of examples/digits; its picture shows a one. */
export const REQUEST = readFileSync(join(ROOT, 'examples/digits/request.json'));

/** Runtimes, namespace and the account that reads models. Everything may be there already. */
export async function prepare(): Promise<void> {
  const { namespace, image } = SURROUNDINGS;
  for (const file of ['kserve-node', 'kserve-node-grpc', 'kserve-node-one-port', 'kserve-node-standard', 'cluster-storage-container']) {
    const yaml = readFileSync(join(ROOT, 'runtimes', `${file}.yaml`), 'utf8');
    await apply(yaml.replaceAll('registry.example.com/kserve-node:0.1.0', image), '--force-conflicts');
  }
  const { host, protocol } = new URL(process.env['AWS_ENDPOINT_URL'] ?? 'https://s3.amazonaws.com');
  await apply(`
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: v1
kind: Secret
metadata:
  name: models
  namespace: ${namespace}
  annotations:
    serving.kserve.io/s3-endpoint: ${host}
    serving.kserve.io/s3-usehttps: '${protocol === 'https:' ? '1' : '0'}'
    serving.kserve.io/s3-region: ${process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1'}
stringData:
  AWS_ACCESS_KEY_ID: ${process.env['AWS_ACCESS_KEY_ID'] ?? ''}
  AWS_SECRET_ACCESS_KEY: ${process.env['AWS_SECRET_ACCESS_KEY'] ?? ''}
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: models, namespace: ${namespace} }
secrets: [{ name: models }]
`);
}

/** All that the suite made, with the namespace; the runtimes stay. */
export async function cleanUp(): Promise<void> {
  await kubectl('delete', 'inferenceservices', '--all', '-n', SURROUNDINGS.namespace, '--timeout=120s');
  await kubectl('delete', 'namespace', SURROUNDINGS.namespace, '--wait=false');
}

export interface ServiceOptions {
  readonly mode?: 'Knative' | 'Standard';
  readonly runtime?: string;
  readonly protocolVersion?: string;
  readonly minReplicas?: number;
  readonly canaryTrafficPercent?: number;
  readonly modelUri?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly runAsUser?: number;
}

/** Applies an InferenceService for the digits model. Small requests: a node with two processors runs the whole suite. */
export function applyService(name: string, options: ServiceOptions): Promise<string> {
  const { mode = 'Knative', runtime, protocolVersion, minReplicas = 1, canaryTrafficPercent, env = {}, runAsUser } = options;
  const service = {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: {
      name,
      namespace: SURROUNDINGS.namespace,
      annotations: { 'serving.kserve.io/deploymentMode': mode, ...(mode === 'Knative' && { 'autoscaling.knative.dev/window': '10s' }) },
    },
    spec: {
      predictor: {
        minReplicas,
        ...(mode === 'Knative' && { maxReplicas: 2 }),
        serviceAccountName: 'models',
        ...(canaryTrafficPercent !== undefined && { canaryTrafficPercent }),
        model: {
          modelFormat: { name: 'onnx' },
          ...(runtime !== undefined && { runtime }),
          ...(protocolVersion !== undefined && { protocolVersion }),
          storageUri: options.modelUri ?? SURROUNDINGS.modelUri,
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '2', memory: '1Gi' } },
          ...(runAsUser !== undefined && { securityContext: { runAsUser, runAsNonRoot: true, readOnlyRootFilesystem: true } }),
        },
      },
    },
  };
  return apply(JSON.stringify(service), '--force-conflicts');
}

export async function waitReady(name: string): Promise<void> {
  await kubectl('wait', `inferenceservice/${name}`, '-n', SURROUNDINGS.namespace, '--for=condition=Ready', '--timeout=180s');
}

/** The value of a JSONPath of an InferenceService, empty when it is not there. */
export function field(name: string, path: string): Promise<string> {
  return kubectl('get', `inferenceservice/${name}`, '-n', SURROUNDINGS.namespace, '-o', `jsonpath={${path}}`);
}

export function pods(service: string): Promise<readonly Pod[]> {
  return list<Pod>('pods', '-n', SURROUNDINGS.namespace, '-l', `serving.kserve.io/inferenceservice=${service}`);
}

export function events(): Promise<readonly KubernetesObject[]> {
  return list('events', '-n', SURROUNDINGS.namespace);
}

/** The host that Knative's ingress knows a predictor by. */
export function hostOf(service: string): string {
  return `${service}-predictor.${SURROUNDINGS.namespace}.${SURROUNDINGS.domain}`;
}

/** Polls what the cluster tells nobody; fails after `seconds`. */
export async function eventually(what: string, seconds: number, isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${String(seconds)} s`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
