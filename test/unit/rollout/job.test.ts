import { loadAll } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { problemsOfJob, renderJob } from '../../../src/rollout/job.ts';
import { readRolloutPlan, type RolloutPlan } from '../../../src/rollout/plan.ts';

const FLAGS = [
  '--namespace=models',
  '--image=example/kserve-node:1',
  '--prometheus_url=http://prometheus:9090',
  '--storage-uri',
  's3://models/v2',
  '--route=httproute/digits',
];

function planOf(flags: readonly string[]): RolloutPlan {
  const plan = readRolloutPlan('digits', flags, {});
  if ('problems' in plan) throw new Error(plan.problems.join('\n'));
  return plan;
}

const documentsOf = (flags: readonly string[]): readonly unknown[] => loadAll(renderJob(planOf(flags), flags));

describe('rollout job', () => {
  it('is an account, the rights it needs, and a Job that runs the same rollout', () => {
    const documents = documentsOf(FLAGS);
    expect(documents).toMatchObject([
      { kind: 'ServiceAccount', metadata: { name: 'digits-rollout', namespace: 'models' } },
      { kind: 'Role' },
      {
        kind: 'RoleBinding',
        roleRef: { kind: 'Role', name: 'digits-rollout' },
        subjects: [{ kind: 'ServiceAccount', name: 'digits-rollout', namespace: 'models' }],
      },
      {
        kind: 'Job',
        spec: {
          template: {
            spec: {
              serviceAccountName: 'digits-rollout',
              restartPolicy: 'Never',
              containers: [
                {
                  image: 'example/kserve-node:1',
                  args: [
                    ...[
                      'rollout',
                      'run',
                      'digits',
                      '--namespace=models',
                      '--prometheus_url=http://prometheus:9090',
                      '--storage-uri=s3://models/v2',
                      '--route=httproute/digits',
                    ],
                  ],
                },
              ],
            },
          },
        },
      },
    ]);
    expect(JSON.stringify(documents[1])).toContain('"httproutes"');
  });

  it('is a CronJob that never runs twice at once when there is a schedule', () => {
    expect(documentsOf([...FLAGS, '--schedule=*/10 * * * *']).at(-1)).toMatchObject({
      kind: 'CronJob',
      spec: { schedule: '*/10 * * * *', concurrencyPolicy: 'Forbid', jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never' } } } } },
    });
  });

  it('is refused with what only the caller has', () => {
    const problems = problemsOfJob(planOf(['--prometheus_headers={"Authorization": "Bearer secret"}', '--queries=q.yaml'])).join('\n');
    for (const flag of ['--image', '--namespace', '--queries', '--prometheus_headers', '--prometheus_url']) expect(problems).toContain(flag);
    expect(problems).not.toContain('secret"');
  });
});
