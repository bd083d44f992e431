import { explained, renderYaml, type Yaml } from '../manifest/index.ts';
import type { RolloutPlan } from './plan.ts';
import { storeName } from './state-store.ts';

/** Flags that say where and what to print, not what the runner is to do. */
const NOT_FOR_RUNNERS = /^--(image|schedule|namespace|kubeconfig|output|dry[-_]run)(=|$)/;

/** What stands in the way of a job for a plan; empty when nothing does. */
export function problemsOfJob({ job, service, judge }: RolloutPlan): readonly string[] {
  const problems: string[] = [];
  if (job.image === undefined) problems.push('--image: expected one with this program and @kubernetes/client-node');
  if (service.namespace === undefined) problems.push('--namespace: expected that of the InferenceService');
  if (service.file !== undefined || judge.queries !== undefined)
    problems.push('--file, --queries: a job has no files: mount them and write the flags by hand');
  if (Object.keys(judge.prometheusHeaders).length > 0) {
    problems.push('--prometheus_headers: they would be there for all to read: set KSERVE_NODE_PROMETHEUS_HEADERS from a Secret');
  }
  if (judge.prometheusUrl === undefined) problems.push('--prometheus_url: expected the one that pods reach');
  return problems;
}

/** A Job, or a CronJob, that runs `rollout run` with the same flags in the cluster, and the account and role it needs. */
export function renderJob(plan: RolloutPlan, flags: readonly string[]): string {
  const { name, service, job } = plan;
  const metadata = { name: storeName(name), ...(service.namespace === undefined ? {} : { namespace: service.namespace }) };
  const [account, ref] = [
    { kind: 'ServiceAccount', name: metadata.name },
    { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
  ];
  const spec = jobSpec(plan, flagsOfRunner(flags));
  const documents: readonly Yaml[] = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules: rulesOf(plan) },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: ref,
      subjects: [{ ...account, ...(service.namespace === undefined ? {} : { namespace: service.namespace }) }],
    },
    job.schedule === undefined
      ? { apiVersion: 'batch/v1', kind: 'Job', metadata, spec }
      : {
          apiVersion: 'batch/v1',
          kind: 'CronJob',
          metadata,
          spec: {
            schedule: job.schedule,
            concurrencyPolicy: explained('A rollout may take longer than the pause between two.', 'Forbid'),
            jobTemplate: { spec },
          },
        },
  ];
  return renderYaml(documents);
}

/** As written, each flag with its value in one argument. */
function flagsOfRunner(flags: readonly string[]): readonly string[] {
  const joined: string[] = [];
  for (const flag of flags) {
    if (flag.startsWith('--') || joined.length === 0) joined.push(flag);
    else joined.push(`${joined.pop() ?? ''}=${flag}`);
  }
  return joined.filter((flag) => !NOT_FOR_RUNNERS.test(flag));
}

function rulesOf({ name, service }: RolloutPlan): readonly Yaml[] {
  const own = [storeName(name)];
  const rules: Yaml[] = [
    { apiGroups: ['serving.kserve.io'], resources: ['inferenceservices'], resourceNames: [name], verbs: ['get', 'patch'] },
    { apiGroups: [''], resources: ['configmaps'], resourceNames: own, verbs: ['get', 'update'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: own, verbs: ['get', 'update'] },
    { apiGroups: [''], resources: ['configmaps', 'events'], verbs: ['create'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  ];
  const [kind, route] = service.route?.split('/') ?? [];
  if (kind === undefined || route === undefined) return rules;
  const [group, resource] = kind === 'httproute' ? ['gateway.networking.k8s.io', 'httproutes'] : ['networking.istio.io', 'virtualservices'];
  return [...rules, { apiGroups: [group], resources: [resource], resourceNames: [route], verbs: ['get', 'update'] }];
}

function jobSpec({ name, service, job }: RolloutPlan, flags: readonly string[]): Yaml {
  return {
    backoffLimit: explained('A pod that was evicted or killed comes again and goes on. One that has ended the rollout, well or not, does not.', 6),
    podFailurePolicy: {
      rules: [
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
        { action: 'FailJob', onExitCodes: { containerName: 'rollout', operator: 'In', values: [1, 2, 3, 4] } },
      ],
    },
    template: {
      spec: {
        serviceAccountName: storeName(name),
        restartPolicy: 'Never',
        containers: [
          {
            name: 'rollout',
            image: job.image ?? '',
            args: ['rollout', 'run', name, ...(service.namespace === undefined ? [] : [`--namespace=${service.namespace}`]), ...flags],
            resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '256Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              runAsNonRoot: true,
              capabilities: { drop: ['ALL'] },
              seccompProfile: { type: 'RuntimeDefault' },
            },
          },
        ],
      },
    },
  };
}
