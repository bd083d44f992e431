import fc from 'fast-check';
import { load, loadAll } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { readManifestPlan, renderManifest, renderYaml, type Yaml } from '../../../src/manifest/index.ts';
import { crdProblems, type Manifest } from '../../support/crd.ts';

const S3 = ['--storage_uri=s3://models/digits/v2', '--service_account=models'];
const LOCAL = { source: '/models/digits', format: 'onnx' };

/** The text, or the problems. */
function manifest(flags: readonly string[], found: { readonly source: string; readonly format?: string } = LOCAL): string {
  const plan = readManifestPlan(found, flags);
  return 'problems' in plan ? plan.problems.join('\n') : renderManifest(plan);
}

describe('manifest', () => {
  it.each([
    ['from zero', S3],
    ['gRPC', [...S3, '--protocol=grpc-v2', '--namespace=models', '--min_replicas=1']],
    ['GPU', [...S3, '--gpu=1', '--gpu_resource=nvidia.com/mig-1g.5gb', '--cpu=2', '--memory=8Gi']],
    ['standard', [...S3, '--mode=standard', '--scale_target=70', '--timeout=30', '--gpu=2']],
    ['a secret', ['--storage_uri=s3://models/digits', '--storage_secret=s3-models']],
    ['concurrency', [...S3, '--concurrency=16', '--scale_target=8']],
    ['canary', [...S3, '--canary=10', '--stable_uri=s3://models/digits/v1']],
    ['canary in Standard mode', [...S3, '--canary=10', '--stable_uri=s3://models/digits/v1', '--mode=standard']],
    ['public', ['--storage_uri=https://example.com/digits.onnx?x=1#y', '--runtime=auto']],
    // Compiling the schema takes seconds on a busy machine.
  ])('%s: the API server would take it', { timeout: 60_000 }, (_, flags) => {
    const documents = loadAll(manifest(flags)) as Manifest[];
    const services = documents.filter(({ kind }) => kind === 'InferenceService');
    expect(services).toHaveLength(1);
    for (const service of services) expect(crdProblems(service)).toEqual([]);
  });

  it('has a canary beside the stable model in Knative mode', () => {
    expect(load(manifest([...S3, '--canary=10', '--stable_uri=s3://models/digits/v1']))).toMatchObject({
      metadata: { name: 'digits', annotations: { 'serving.kserve.io/deploymentMode': 'Knative' } },
      spec: {
        predictor: {
          minReplicas: 0,
          canaryTrafficPercent: 10,
          serviceAccountName: 'models',
          model: { runtime: 'kserve-node', storageUri: 's3://models/digits/v2' },
        },
      },
    });
  });

  it('prints the ServiceAccount that a Secret needs', () => {
    const [account, service] = loadAll(manifest(['--storage_uri=s3://models/digits', '--storage_secret=s3-models', '--namespace=models']));
    expect(account).toEqual({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'digits-storage', namespace: 'models' },
      secrets: [{ name: 's3-models' }],
    });
    expect(service).toMatchObject({ spec: { predictor: { serviceAccountName: 'digits-storage' } } });
  });

  it('takes the name from a URI, and says that nobody looked into it', () => {
    const found = { source: 's3://models/My_Model.V2/' };
    expect(manifest(['--service_account=models'], found)).toBe('--format: expected one of onnx, because nobody looks into s3://models/My_Model.V2/');
    expect(load(manifest(['--service_account=models', '--format=onnx'], found))).toMatchObject({ metadata: { name: 'my-model-v2' } });
  });

  it.each([
    ['no storage', [], '--storage_uri: expected where the cluster finds the model, such as s3://BUCKET/PREFIX'],
    ['an unknown format', [...S3, '--format=caffe'], '--format: expected onnx, or a --runtime of yours that has it, got "caffe"'],
    [
      'no credentials',
      ['--storage_uri=s3://models/x'],
      '--storage_secret: s3:// needs credentials: give the Secret, a --service_account that has them, or --public',
    ],
    ['a scheme KServe has not', ['--storage_uri=ftp://models/x', '--public'], 'expected one of s3://'],
    ['a canary alone', [...S3, '--canary=10'], '--canary: expected --stable_uri beside it: there is no canary without a stable model'],
    ['the same model twice', [...S3, '--canary=10', '--stable_uri=s3://models/digits/v2'], "--stable_uri: expected another model than the canary's"],
    [
      'a TPU',
      [...S3, '--gpu=4', '--gpu_resource=google.com/tpu'],
      '--gpu_resource: TPUs are not supported: no engine of this build can use google.com/tpu',
    ],
    [
      'a metric that is ignored',
      [...S3, '--mode=standard', '--scale_metric=rps'],
      '--scale_metric: expected cpu or memory with --mode=standard, got rps',
    ],
    ['zero in Standard mode', [...S3, '--mode=standard', '--min_replicas=0'], '--min_replicas: expected 1 or more with --mode=standard'],
    ['more at least than at most', [...S3, '--min_replicas=5'], '--min_replicas: expected at most --max_replicas, 3, got 5'],
    ['a target nobody reaches', [...S3, '--concurrency=4', '--scale_target=8'], '--scale_target: expected at most --concurrency, 4, got 8'],
    ['a name too long', [...S3, `--name=${'a'.repeat(50)}`], '--name: expected at most 45 characters'],
    ['a name with a point', [...S3, '--name=digits.v1'], '--name: expected small letters, digits and dashes'],
    ['a GPU without CUDA', [...S3, '--gpu=1', '--runtime=kserve-node-standard'], '--runtime: expected kserve-node-gpu'],
    ['two sources of credentials', [...S3, '--storage_secret=x'], '--service_account: expected no --storage_secret beside it'],
  ])('refuses %s', (_, flags, problem) => {
    expect(manifest(flags)).toContain(problem);
  });
});

describe('renderYaml', () => {
  const scalars = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom('no', '1e3', '~', 'a: b', '# x', '- x', '0x1', 'null', '1:2', ' a', ''),
  );
  const values = fc.letrec<{ value: Yaml }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      scalars,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { maxKeys: 3 }),
    ),
  })).value;

  it('writes what YAML reads back', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), values, { minKeys: 1, maxKeys: 4 }), (document) => {
        fc.pre(!JSON.stringify(document).includes('"comment"'));
        expect(load(renderYaml([document]))).toEqual(JSON.parse(JSON.stringify(document)));
      }),
      { numRuns: 200 },
    );
  });
});
