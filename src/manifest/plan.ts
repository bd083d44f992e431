import { isUri } from '../core/uri.ts';
import { loadOptions } from '../options/index.ts';
import { MANIFEST_SECTIONS, type CanaryOptions, type ModelOptions, type ScaleOptions } from './options.ts';

/** Formats that the serving runtimes of this package list. */
export const FORMATS = ['onnx'] as const;

/** What the user wants, checked, with what follows from it. */
export interface ManifestPlan {
  readonly model: ModelOptions & { readonly name: string; readonly storageUri: string; readonly format: string };
  readonly scale: Omit<ScaleOptions, 'minReplicas' | 'scaleMetric'> & {
    readonly minReplicas: number;
    readonly scaleMetric: NonNullable<ScaleOptions['scaleMetric']>;
  };
  readonly canary: CanaryOptions;
  /** Undefined where KServe is to choose. */
  readonly runtime: string | undefined;
}

/** What was found out about the model that the first argument names. */
export interface FoundModel {
  /** Directory or URI, as given. */
  readonly source: string;
  /** Undefined for a URI: nobody looks there. */
  readonly format?: string;
}

/** What KServe's webhook takes as storageUri; anything else is admitted and fails later. */
const SCHEMES = ['s3', 'gs', 'hdfs', 'webhdfs', 'http', 'https', 'hf', 'oci', 'pvc'];
const SCHEMES_WITH_CREDENTIALS = ['s3', 'gs', 'hdfs', 'webhdfs'];

/** Reads the flags behind the model; else all problems, one line each. */
export function readManifestPlan(found: FoundModel, argv: readonly string[]): ManifestPlan | { readonly problems: readonly string[] } {
  const loaded = loadOptions(MANIFEST_SECTIONS, { argv, env: {}, readFile: () => '{}' });
  if (!loaded.ok) return { problems: loaded.problems };
  const { model, scale, canary } = loaded.values;
  const isRemote = isUri(found.source);
  const storageUri = model.storageUri ?? (isRemote ? found.source : undefined);
  const format = model.format ?? found.format;
  const name = model.name ?? nameFrom(found.source);
  const isKnative = scale.mode === 'knative';
  const { minReplicas = isKnative ? 0 : 1, scaleMetric = isKnative ? 'concurrency' : 'cpu' } = scale;
  const problems: string[] = [];
  if (storageUri === undefined) problems.push('--storage_uri: expected where the cluster finds the model, such as s3://BUCKET/PREFIX');
  if (isRemote && model.storageUri !== undefined)
    problems.push(`--storage_uri: expected a local directory as first argument beside it, got ${found.source}`);
  if (format === undefined) problems.push(`--format: expected one of ${FORMATS.join(', ')}, because nobody looks into ${found.source}`);
  if (problems.length > 0 || storageUri === undefined || format === undefined) return { problems };
  const plan: ManifestPlan = {
    model: { ...model, name, storageUri, format },
    scale: { ...scale, minReplicas, scaleMetric },
    canary,
    runtime: runtimeFor(model, scale),
  };
  problems.push(...problemsOfModel(plan, found.format), ...problemsOfScale(plan), ...problemsOfCanary(plan));
  return problems.length > 0 ? { problems } : plan;
}

/** Naming one keeps KServe from choosing another when somebody installs more of them. */
function runtimeFor({ runtime, protocol }: ModelOptions, { mode, gpu }: ScaleOptions): string | undefined {
  if (runtime !== undefined) return runtime === 'auto' ? undefined : runtime;
  if (gpu !== undefined) return mode === 'knative' ? 'kserve-node-gpu' : 'kserve-node-gpu-standard';
  if (mode === 'standard') return 'kserve-node-standard';
  return protocol === 'grpc-v2' ? 'kserve-node-grpc' : 'kserve-node';
}

function nameFrom(source: string): string {
  const last =
    source
      .replace(/[?#].*$/, '')
      .replace(/\/+$/, '')
      .split('/')
      .at(-1) ?? '';
  return (
    last
      .toLowerCase()
      .replace(/\.(onnx|ort|zip|tar|tgz|tar\.gz)$/, '')
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^[^a-z]+|-+$/g, '') || 'model'
  );
}

function problemsOfModel({ model, scale }: ManifestPlan, foundFormat: string | undefined): readonly string[] {
  const { name, namespace, storageUri, format, runtime, serviceAccount, storageSecret } = model;
  const problems: string[] = [];
  if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name))
    problems.push(`--name: expected small letters, digits and dashes, a letter first, got ${JSON.stringify(name)}`);
  // Knative makes one label of a host name of all three.
  const label = `${name}-predictor-${namespace ?? 'default'}`;
  if (label.length > 63)
    problems.push(
      `--name: expected at most ${63 - (label.length - name.length)} characters, because ${label} must be one DNS label, got ${name.length}`,
    );
  if ((runtime === undefined || runtime.startsWith('kserve-node')) && !FORMATS.some((known) => known === format)) {
    problems.push(`--format: expected ${FORMATS.join(', ')}, or a --runtime of yours that has it, got ${JSON.stringify(format)}`);
  }
  if (foundFormat !== undefined && format !== foundFormat) problems.push(`--format: the model is ${foundFormat}, got ${JSON.stringify(format)}`);
  if (runtime !== undefined && scale.gpu !== undefined && /^(auto|kserve-node(-grpc|-one-port|-standard)?)$/.test(runtime)) {
    problems.push(`--runtime: expected kserve-node-gpu or kserve-node-gpu-standard beside --gpu, got ${runtime}, whose image has no CUDA`);
  }
  const scheme = /^([a-z0-9+.-]+):\/\//i.exec(storageUri)?.[1]?.toLowerCase() ?? '';
  if (!SCHEMES.includes(scheme))
    problems.push(`--storage_uri: expected one of ${SCHEMES.map((known) => `${known}://`).join(', ')}, got ${JSON.stringify(storageUri)}`);
  const hasCredentials = serviceAccount !== undefined || storageSecret !== undefined;
  if (SCHEMES_WITH_CREDENTIALS.includes(scheme) && !hasCredentials && !model.public) {
    problems.push(`--storage_secret: ${scheme}:// needs credentials: give the Secret, a --service_account that has them, or --public`);
  }
  if (hasCredentials && model.public) problems.push('--public: expected no --storage_secret and no --service_account beside it');
  if (serviceAccount !== undefined && storageSecret !== undefined)
    problems.push('--service_account: expected no --storage_secret beside it, for which one is printed');
  return problems;
}

function problemsOfScale({ scale }: ManifestPlan): readonly string[] {
  const { mode, minReplicas, maxReplicas, scaleMetric, scaleTarget, concurrency, gpu, gpuResource } = scale;
  const problems: string[] = [];
  if (minReplicas > maxReplicas) problems.push(`--min_replicas: expected at most --max_replicas, ${maxReplicas}, got ${minReplicas}`);
  if (mode === 'standard' && minReplicas === 0)
    problems.push('--min_replicas: expected 1 or more with --mode=standard: only KEDA scales a Deployment to zero');
  const metrics = mode === 'knative' ? ['concurrency', 'rps'] : ['cpu', 'memory'];
  if (!metrics.includes(scaleMetric))
    problems.push(`--scale_metric: expected ${metrics.join(' or ')} with --mode=${mode}, got ${scaleMetric}, which KServe would ignore`);
  if (scaleMetric === 'memory' && scaleTarget === undefined)
    problems.push('--scale_target: expected one with --scale_metric=memory, which has no default');
  if (mode === 'standard' && concurrency !== undefined)
    problems.push('--concurrency: expected --mode=knative beside it: a Deployment has no proxy that counts requests');
  if (concurrency !== undefined && scaleMetric === 'concurrency' && scaleTarget !== undefined && scaleTarget > concurrency) {
    problems.push(`--scale_target: expected at most --concurrency, ${concurrency}, got ${scaleTarget}: no pod would ever get there`);
  }
  if (gpu === undefined && gpuResource !== 'nvidia.com/gpu') problems.push('--gpu_resource: give --gpu with it');
  if (/tpu/i.test(gpuResource)) problems.push(`--gpu_resource: TPUs are not supported: no engine of this build can use ${gpuResource}`);
  return problems;
}

function problemsOfCanary({ canary: { canary, stableUri }, model }: ManifestPlan): readonly string[] {
  const problems: string[] = [];
  if (canary !== undefined && stableUri === undefined)
    problems.push('--canary: expected --stable_uri beside it: there is no canary without a stable model');
  if (canary === undefined && stableUri !== undefined) problems.push('--stable_uri: expected --canary beside it');
  if (stableUri !== undefined && stableUri === model.storageUri)
    problems.push(`--stable_uri: expected another model than the canary's, got ${stableUri} for both`);
  return problems;
}
