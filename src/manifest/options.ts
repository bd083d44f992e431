import { boolean, defineSection, integer, oneOf, text, type OptionsOf } from '../options/index.ts';

export const modelSection = defineSection({
  title: 'Model',
  options: {
    name: {
      name: 'name',
      schema: text('NAME'),
      doc: 'of the InferenceService, and of the model for its clients; that of the directory when not given',
    },
    namespace: { name: 'namespace', schema: text('NAME'), doc: 'left out of the manifest when not given' },
    storageUri: { name: 'storage_uri', schema: text('URI'), doc: 'where the cluster finds the model, when the first argument is a local directory' },
    format: { name: 'format', schema: text('NAME'), doc: 'such as onnx; of a local model it is found out' },
    protocol: { name: 'protocol', schema: oneOf(['v1', 'v2', 'grpc-v2']), default: 'v2', doc: 'that clients speak' },
    runtime: {
      name: 'runtime',
      schema: text('NAME'),
      doc: "serving runtime to take, or auto: KServe chooses by format and protocol; else one of this package's",
    },
    serviceAccount: { name: 'service_account', schema: text('NAME'), doc: 'that has the credentials of the storage' },
    storageSecret: {
      name: 'storage_secret',
      schema: text('NAME'),
      doc: 'Secret with the credentials of the storage; a ServiceAccount for it is printed, too',
    },
    public: { name: 'public', schema: boolean(), default: false, doc: 'the storage asks for no credentials' },
  },
});

export const scaleSection = defineSection({
  title: 'Where it runs and how it scales',
  options: {
    mode: { name: 'mode', schema: oneOf(['knative', 'standard']), default: 'knative', doc: 'Knative Services, which scale to zero, or Deployments' },
    minReplicas: { name: 'min_replicas', schema: integer(0, 10_000), doc: 'default 0 for knative, 1 for standard' },
    maxReplicas: { name: 'max_replicas', schema: integer(1, 10_000), default: 3, doc: 'bound of what a surge may cost' },
    scaleMetric: {
      name: 'scale_metric',
      schema: oneOf(['concurrency', 'rps', 'cpu', 'memory']),
      doc: 'default concurrency for knative, cpu for standard',
    },
    scaleTarget: {
      name: 'scale_target',
      schema: integer(1, 1_000_000),
      doc: 'of the metric: requests under way or a second, percent of the processor, MiB of memory',
    },
    concurrency: {
      name: 'concurrency',
      schema: integer(1, 10_000),
      doc: 'knative: requests that a pod is given at once at most; the others wait in the proxy',
    },
    timeoutSeconds: { name: 'timeout', schema: integer(1, 600), doc: 'seconds that a request may take' },
    cpu: { name: 'cpu', schema: text('QUANTITY'), doc: "such as 500m or 2; the runtime's own when not given" },
    memory: { name: 'memory', schema: text('QUANTITY'), doc: "such as 512Mi or 4Gi; the runtime's own when not given" },
    gpu: { name: 'gpu', schema: integer(1, 16), doc: 'accelerators of each pod' },
    gpuResource: {
      name: 'gpu_resource',
      schema: text('NAME'),
      default: 'nvidia.com/gpu',
      doc: 'what they are called in the cluster, such as nvidia.com/mig-1g.5gb',
    },
  },
});

export const canarySection = defineSection({
  title: 'Canary',
  options: {
    canary: { name: 'canary', schema: integer(0, 99), doc: 'percent of the traffic that this model gets beside the stable one' },
    stableUri: { name: 'stable_uri', schema: text('URI'), doc: 'the model that has all traffic now; needed for a canary' },
  },
});

export const MANIFEST_SECTIONS = { model: modelSection, scale: scaleSection, canary: canarySection } as const;

export type ModelOptions = OptionsOf<typeof modelSection>;
export type ScaleOptions = OptionsOf<typeof scaleSection>;
export type CanaryOptions = OptionsOf<typeof canarySection>;
