import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advance, type Input, type Observed, type Request } from '../../../src/rollout/advance.ts';
import type { Verdict } from '../../../src/rollout/judge.ts';
import type { RolloutPlan } from '../../../src/rollout/plan.ts';
import { isEnd, type RolloutState } from '../../../src/rollout/state.ts';

const pace: RolloutPlan['pace'] = {
  steps: [10, 50, 100],
  intervalMs: 1000,
  checkMs: 100,
  patienceMs: 500,
  readyMs: 2000,
  apiMs: 1000,
  leaseMs: 3000,
};
const begun: RolloutState = {
  format: 1,
  id: 'x',
  name: 'digits',
  namespace: 'models',
  uid: 'u',
  mode: 'Knative',
  phase: 'preparing',
  since: 0,
  startedAt: 0,
  steps: pace.steps,
  step: 0,
  weight: 0,
  judgedWeight: 0,
  isPaused: false,
  previous: {},
  stable: 'digits-1',
  passed: [],
};
const there: Observed = { exists: true, isCanaryReady: true, canary: 'digits-2', isSettled: false };
const pass: Verdict = { kind: 'pass', reason: 'fine' };

/** The state, or the reason of what happened, after inputs one after the other. */
function play(
  from: RolloutState,
  ...inputs: readonly (Partial<Omit<Input, 'observed'>> & { readonly observed?: Partial<Observed> })[]
): {
  readonly state: RolloutState;
  readonly said: readonly string[];
} {
  let state = from;
  const said: string[] = [];
  for (const { observed, now = state.since, ...rest } of inputs) {
    const next = advance(state, { now, ...rest, observed: { ...there, ...observed } }, pace);
    state = next.state;
    said.push(...next.happenings.map(({ reason, message }) => `${reason}: ${message}`));
  }
  return { state, said };
}

const judging: RolloutState = { ...begun, phase: 'judging', weight: 50, step: 1, judgedWeight: 10, canary: 'digits-2' };

describe('advance', () => {
  it('goes from the first step to the last and promotes', () => {
    const { state, said } = play(
      begun,
      {},
      { observed: { weight: 10 } },
      { now: 1000, verdict: pass },
      { now: 1000, observed: { weight: 50 } },
      { now: 2000, verdict: pass },
      { now: 2000, observed: { weight: 100 } },
      { now: 3000, verdict: pass },
      { now: 3100, observed: { isSettled: true } },
    );
    expect(state).toMatchObject({ phase: 'promoted', weight: 100, judgedWeight: 100 });
    expect(state.passed.map(({ weight }) => weight)).toEqual([10, 50, 100]);
    expect(said.map((line) => line.split(':')[0])).toEqual([
      ...['RolloutStep', 'RolloutStepPassed', 'RolloutStep', 'RolloutStepPassed', 'RolloutStep', 'RolloutStepPassed', 'RolloutPromoted'],
    ]);
  });

  it('does not end a step before its time, however good it looks', () => {
    expect(play(judging, { now: 999, verdict: pass }).state).toMatchObject({ phase: 'judging', weight: 50 });
  });

  it('rolls back in the middle of a step, at once, and tells why', () => {
    const { state, said } = play(judging, { now: 100, verdict: { kind: 'fail', reason: 'many errors' } });
    expect(state).toMatchObject({ phase: 'reverting', weight: 0, reason: 'many errors' });
    expect(said).toEqual(['RolloutRollingBack: Rolling back from 50 %: many errors']);
  });

  it('is rolled back when traffic, predictor and fields are what they were', () => {
    const reverting: RolloutState = { ...judging, phase: 'reverting', weight: 0, reason: 'many errors' };
    const { state, said } = play(reverting, { observed: { weight: 0 } }, { observed: { isSettled: true } }, { observed: { isSettled: true } });
    expect(state.phase).toBe('rolled_back');
    expect(said).toEqual(['RolloutRolledBack: digits-1 has all traffic again: many errors']);
  });

  it('waits for requests beyond the time of a step, then stops at the last judged one', () => {
    const few: Verdict = { kind: 'wait', reason: 'too few requests' };
    expect(play(judging, { now: 1400, verdict: few }).state).toMatchObject({ phase: 'judging', weight: 50 });
    const held = play(judging, { now: 1500, verdict: few });
    expect(held.state).toMatchObject({ phase: 'holding', weight: 10 });
    const { state, said } = play(held.state, { observed: { weight: 10 } });
    expect(state.phase).toBe('stopped');
    expect(said).toEqual(['RolloutStopped: Stopped at 10 %: step 50 % could not be judged: too few requests']);
  });

  it.each([
    ['the service was deleted', { exists: false }, { phase: 'stopped', weight: 50, reason: 'the InferenceService was deleted' }],
    [
      'a new revision appears',
      { interference: { reason: 'a new revision', isUnsafe: true } },
      { phase: 'holding', weight: 0, reason: 'a new revision' },
    ],
    ['a person sets a percentage', { interference: { reason: 'somebody', isUnsafe: false } }, { phase: 'stopped', weight: 50, reason: 'somebody' }],
    ['the canary fails', { isCanaryReady: false, failure: 'crashed' }, { phase: 'reverting', weight: 0, reason: 'the canary failed: crashed' }],
  ])('ends safely when %s', (_, observed, expected) => {
    expect(play(judging, { observed }).state).toMatchObject(expected);
  });

  it('rolls back what never gets ready', () => {
    expect(play(begun, { now: 2001, observed: { isCanaryReady: false } }).state.reason).toBe('the canary was not ready within 2 s');
    expect(play(begun, { observed: { isCanaryReady: false, failure: 'no such model' } }).state.reason).toBe('the canary cannot start: no such model');
  });

  it('stops at the judged weight when traffic does not move', () => {
    expect(play({ ...judging, phase: 'shifting' }, { now: 2001, observed: { weight: 10 } }).state).toMatchObject({ phase: 'holding', weight: 10 });
  });

  it('begins no step while paused, still rolls back, and begins the step anew when resumed', () => {
    const paused = play(judging, { request: 'pause', now: 100 });
    expect(paused.said).toEqual(['RolloutPaused: Paused at 50 %']);
    expect(play(paused.state, { now: 9999, verdict: pass }).state).toMatchObject({ phase: 'judging', weight: 50 });
    expect(play(paused.state, { now: 9999, verdict: { kind: 'fail', reason: 'bad' } }).state.phase).toBe('reverting');
    expect(play(paused.state, { request: 'resume', now: 9999, verdict: pass }).state).toMatchObject({
      phase: 'judging',
      since: 9999,
      isPaused: false,
    });
  });

  it('rolls back when asked to abort, once', () => {
    const aborted = play(judging, { request: 'abort' });
    expect(aborted.state).toMatchObject({ phase: 'reverting', isAborted: true, reason: 'aborted by request' });
    expect(play(aborted.state, { request: 'abort' }).said).toEqual([]);
  });

  it('keeps the traffic at 0 when the previous predictor does not come back', () => {
    const restoring: RolloutState = { ...judging, phase: 'restoring', weight: 0, reason: 'bad' };
    const { state, said } = play(restoring, { now: 2001 });
    expect(state).toMatchObject({ phase: 'rolled_back', weight: 0 });
    expect(said[0]).toContain('0 % stays set');
  });

  it('never gives more traffic than the step after the last that passed, nor any after the end, whatever happens', () => {
    const verdicts = fc.option(fc.constantFrom<Verdict>(pass, { kind: 'fail', reason: 'bad' }, { kind: 'wait', reason: 'few' }), { nil: undefined });
    const requests = fc.option(fc.constantFrom<Request>('pause', 'resume', 'abort'), { nil: undefined, freq: 4 });
    const inputs = fc.record({
      later: fc.integer({ min: 0, max: 1200 }),
      verdict: verdicts,
      request: requests,
      exists: fc.integer({ min: 0, max: 60 }).map((roll) => roll > 0),
      isCanaryReady: fc.boolean(),
      isSettled: fc.boolean(),
      obeys: fc.boolean(),
      isUnsafe: fc.option(fc.boolean(), { nil: undefined, freq: 30 }),
    });
    fc.assert(
      fc.property(fc.array(inputs, { maxLength: 60 }), (all) => {
        let state = begun;
        let now = 0;
        for (const { later, verdict, request, exists, isCanaryReady, isSettled, obeys, isUnsafe } of all) {
          now += later;
          const before = state;
          const observed: Observed = {
            exists,
            isCanaryReady,
            isSettled,
            canary: 'digits-2',
            ...(obeys ? { weight: state.weight } : {}),
            ...(isUnsafe === undefined ? {} : { interference: { reason: 'somebody', isUnsafe } }),
          };
          state = advance(
            before,
            { now, observed, ...(verdict === undefined ? {} : { verdict }), ...(request === undefined ? {} : { request }) },
            pace,
          ).state;
          if (isEnd(before.phase)) expect(state).toBe(before);
          const allowed = pace.steps[state.passed.length] ?? 100;
          expect(state.weight).toBeLessThanOrEqual(allowed);
          expect(state.passed.map(({ weight }) => weight)).toEqual(pace.steps.slice(0, state.passed.length));
          expect(state.judgedWeight).toBe(state.passed.at(-1)?.weight ?? 0);
          if (state.phase === 'promoted') expect(state.passed).toHaveLength(pace.steps.length);
          if (state.phase === 'rolled_back') expect(state.weight).toBe(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});
