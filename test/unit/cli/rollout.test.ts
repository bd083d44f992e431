import { describe, expect, it } from 'vitest';
import { runCli } from '../../../src/cli/index.ts';
import { createRolloutView, renderRollout } from '../../../src/cli/rollout-view.ts';
import type { RolloutState } from '../../../src/rollout/index.ts';
import { FakeHost } from './fake-host.ts';

const state: RolloutState = {
  format: 1,
  id: 'x',
  name: 'digits',
  namespace: 'models',
  uid: 'u',
  mode: 'Knative',
  phase: 'judging',
  since: 0,
  startedAt: 0,
  steps: [25, 100],
  step: 1,
  weight: 100,
  judgedWeight: 25,
  isPaused: true,
  kept: {},
  stable: 'digits-predictor-00001',
  canary: 'digits-predictor-00002',
  passed: [{ weight: 25, at: 0, figures: 'canary 10 requests' }],
  look: { at: 5, kind: 'wait', reason: 'too few requests' },
};

describe('rollout', () => {
  it.each([
    [['rollout'], 'expected run, status, pause, resume, abort or job and the name of an InferenceService, got ""'],
    [['rollout', 'start', 'digits'], 'got "start digits"'],
    [['rollout', 'run', '--steps=5'], 'got "run --steps=5"'],
    [['rollout', 'run', 'digits', '--stepps=5'], 'unknown flag --stepps'],
    [['rollout', 'job', 'digits'], '--image: expected one with this program'],
  ])('%j is wrong usage', async (argv, problem) => {
    const host = new FakeHost({ argv });
    expect(await runCli(host)).toBe(2);
    expect(host.err).toContain(problem);
    expect(host.out).toBe('');
  });

  it('prints a job', async () => {
    const host = new FakeHost({ argv: ['rollout', 'job', 'digits', '--namespace=models', '--image=a/b:1', '--prometheus_url=http://p:9090'] });
    expect(await runCli(host)).toBe(0);
    expect(host.out).toContain('kind: Job\n');
  });

  it('says what stands in the kubeconfig when it cannot be read', async () => {
    const host = new FakeHost({ argv: ['rollout', 'status', 'digits', '--kubeconfig=/nowhere/kubeconfig'] });
    expect(await runCli(host)).toBe(1);
    expect(host.err).toMatch(/^Cannot read the kubeconfig: .*\/nowhere\/kubeconfig/);
  });
});

describe('renderRollout', () => {
  it('shows every step, what passed, and what is awaited', () => {
    expect(renderRollout(state, 90_000)).toBe(
      'models/digits (Knative): judging, paused for 90 s\n' +
        '  ████████████████████ 100 % digits-predictor-00002, 0 % digits-predictor-00001\n' +
        '   25 %  passed canary 10 requests\n' +
        '  100 %  now    too few requests\n',
    );
  });
});

describe('createRolloutView', () => {
  it('writes a line of JSON for what happens and for each look, where there is no terminal', () => {
    const host = new FakeHost();
    const view = createRolloutView(host, 'auto');
    view.show({ ...state, phase: 'shifting' }, [{ reason: 'RolloutStep', message: 'Sending 100 %', isWarning: false }]);
    view.show({ ...state, look: { at: 9, kind: 'pass', reason: 'fine' } }, []);
    view.end();
    const lines = host.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toMatchObject([
      { event: 'RolloutStep', message: 'Sending 100 %', service: 'models/digits', weight: 100 },
      { event: 'Look', verdict: 'pass', message: 'fine' },
    ]);
  });

  it('draws over its last table on a terminal', () => {
    const host = new FakeHost({ isTTY: true });
    const view = createRolloutView(host, 'auto');
    view.show(state, []);
    view.show(state, []);
    view.end();
    expect(host.out).toContain('\u001b[4A\u001b[J');
  });
});
