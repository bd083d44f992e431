import { describe, expect, it } from 'vitest';
import { readRolloutPlan } from '../../../src/rollout/plan.ts';

const planOf = (flags: readonly string[], name = 'digits', env: Readonly<Record<string, string>> = {}): ReturnType<typeof readRolloutPlan> =>
  readRolloutPlan(name, flags, env);

const stepsOf = (written: string): unknown => {
  const plan = planOf([`--steps=${written}`]);
  return 'problems' in plan ? plan.problems.join('\n') : plan.pace.steps;
};

describe('readRolloutPlan', () => {
  it.each([
    ['10', [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]],
    ['30', [30, 60, 90, 100]],
    ['1,5,25', [1, 5, 25, 100]],
    ['50,100', [50, 100]],
  ])('reads the steps %s', (written, steps) => {
    expect(stepsOf(written)).toEqual(steps);
  });

  it.each(['0', '100', '101', '50,10', '10,10', 'ten', '', '-5', '1.5'])('refuses the steps %j', (written) => {
    expect(stepsOf(written)).toContain('--steps');
  });

  it.each([
    ['a name that no service has', [], 'Digits', 'expected the name of an InferenceService, got "Digits"'],
    ['two sources of the change', ['--storage_uri=s3://a/b', '--file=x.yaml'], 'digits', '--storage_uri: expected no --file beside it, got both'],
    ['a route of another kind', ['--route=ingress/x'], 'digits', '--route: expected httproute/NAME or virtualservice/NAME, got "ingress/x"'],
    ['looks further apart than steps', ['--interval=30', '--check_interval=60'], 'digits', '--check_interval: expected at most --interval'],
    ['headers that are no texts', ['--prometheus_headers={"a": 1}'], 'digits', '--prometheus_headers: expected a JSON object of texts'],
    ['headers with line breaks', ['--prometheus_headers={"a": "b\\nc"}'], 'digits', '--prometheus_headers: expected a JSON object of texts'],
    ['a URL without a host', ['--prometheus_url=prometheus:9090'], 'digits', '--prometheus_url: expected http:// or https:// and a host'],
    ['a significance that would let nothing pass', ['--significance=0.7'], 'digits', '--significance: expected a number above 0 and below 0.5'],
  ])('refuses %s', (_, flags, name, problem) => {
    const plan = planOf(flags, name);
    expect('problems' in plan ? plan.problems.join('\n') : 'none').toContain(problem);
  });

  it('takes what a Secret gives as a variable', () => {
    const plan = planOf([], 'digits', { KSERVE_NODE_PROMETHEUS_HEADERS: '{"Authorization": "Bearer x"}' });
    expect(plan).toMatchObject({ judge: { prometheusHeaders: { Authorization: 'Bearer x' } } });
  });
});
