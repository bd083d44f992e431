import type { ManifestPlan } from './plan.ts';
import { explained, renderYaml, type Explained, type Yaml } from './yaml.ts';

type Fields = Readonly<Record<string, Yaml | Explained | undefined>>;

/** The manifest of a plan, with what the reader must know as comments. */
export function renderManifest(plan: ManifestPlan): string {
  const account = accountOf(plan);
  return renderYaml([...(account === undefined ? [] : [account]), inferenceService(plan)]);
}

function accountOf({ model: { name, namespace, storageSecret } }: ManifestPlan): Yaml | undefined {
  if (storageSecret === undefined) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: accountName(name), ...(namespace === undefined ? {} : { namespace }) },
    secrets: explained(
      `Its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; annotations serving.kserve.io/s3-endpoint, s3-region and s3-usehttps of the Secret\nsay where the storage is.`,
      [{ name: storageSecret }],
    ),
  };
}

function accountName(name: string): string {
  return `${name}-storage`;
}

function inferenceService(plan: ManifestPlan): Yaml {
  const { model, scale, canary } = plan;
  const isKnative = scale.mode === 'knative';
  const isStandardCanary = !isKnative && canary.canary !== undefined;
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: {
      name: explained('Annotations and labels that are changed later start new pods: keep notes elsewhere.', model.name),
      ...(model.namespace === undefined ? {} : { namespace: model.namespace }),
      annotations: {
        'serving.kserve.io/deploymentMode': explained('It cannot be changed later: delete and create again.', isKnative ? 'Knative' : 'Standard'),
      },
    },
    spec: {
      predictor: predictor(plan, isStandardCanary ? (canary.stableUri ?? '') : model.storageUri),
      ...(isStandardCanary ? { canary: standardCanary(plan) } : {}),
    },
  };
}

function predictor(plan: ManifestPlan, storageUri: string): Fields {
  const { model, scale, canary, runtime } = plan;
  const isKnative = scale.mode === 'knative';
  const serviceAccountName = model.storageSecret === undefined ? model.serviceAccount : accountName(model.name);
  return {
    minReplicas: scale.minReplicas === 0 ? explained('Nothing runs while nobody asks; the first request waits for a start.', 0) : scale.minReplicas,
    maxReplicas: scale.maxReplicas,
    scaleMetric: scale.scaleMetric,
    scaleTarget: scale.scaleTarget,
    containerConcurrency: scale.concurrency,
    timeout: scale.timeoutSeconds,
    ...(isKnative && canary.canary !== undefined ? { canaryTrafficPercent: explained(knativeCanaryComment(plan), canary.canary) } : {}),
    serviceAccountName,
    model: {
      modelFormat: { name: model.format },
      protocolVersion: explained('Without it KServe takes v1.', model.protocol),
      runtime: runtime === undefined ? undefined : explained('Named, lest another one be chosen when somebody installs more.', runtime),
      storageUri: explained('A new path for each new model: a revision that is read again later must find what it was.', storageUri),
      resources: resourcesOf(plan),
    },
  };
}

function knativeCanaryComment({ model, canary }: ManifestPlan): string {
  return (
    `The rest goes to the revision that had all traffic last, with ${canary.stableUri ?? ''}.\n` +
    `"kserve-node rollout run ${model.name}" raises it step by step and takes it back. Without the field the new model gets everything.`
  );
}

function standardCanary({ model, canary }: ManifestPlan): Explained {
  return explained('KServe 0.20 starts these pods and splits no traffic: weights of an HTTPRoute or VirtualService do.', [
    {
      trafficPercent: canary.canary ?? 0,
      predictor: {
        name: 'canary',
        model: {
          name: explained('The schema asks for it here, unlike above.', 'kserve-container'),
          modelFormat: { name: model.format },
          storageUri: model.storageUri,
        },
      },
    },
  ]);
}

function resourcesOf({ scale: { cpu, memory, gpu, gpuResource } }: ManifestPlan): Fields | undefined {
  if (cpu === undefined && memory === undefined && gpu === undefined) return undefined;
  const common = { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
  const accelerators = gpu === undefined ? {} : { [gpuResource]: String(gpu) };
  return { requests: { ...common, ...accelerators }, limits: { ...common, ...accelerators } };
}
