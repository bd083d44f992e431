import type { Verdict } from './judge.ts';
import type { RolloutPlan } from './plan.ts';
import { isEnd, type Phase, type RolloutState } from './state.ts';

export type Request = 'pause' | 'resume' | 'abort';

/** What the cluster looks like. */
export interface Observed {
  /** The InferenceService is there, and is the one that the rollout began with. */
  readonly exists: boolean;
  readonly canary?: string;
  readonly isCanaryReady: boolean;
  /** Why the canary will never be ready. */
  readonly failure?: string;
  /** Percent that the canary has, as those who route say; undefined while they have not said so. */
  readonly weight?: number;
  /** What somebody else did that ends the rollout. `isUnsafe`: something that nobody judged may get traffic. */
  readonly interference?: { readonly reason: string; readonly isUnsafe: boolean };
  /** What the phases promoting, restoring and releasing wait for. */
  readonly isSettled: boolean;
}

export interface Input {
  readonly now: number;
  readonly request?: Request;
  readonly observed: Observed;
  readonly verdict?: Verdict;
}

/** One line of what happened, for the log and as an event of the InferenceService. */
export interface Happening {
  readonly reason:
    | 'RolloutStarted'
    | 'RolloutStep'
    | 'RolloutStepPassed'
    | 'RolloutPaused'
    | 'RolloutResumed'
    | 'RolloutPromoted'
    | 'RolloutRollingBack'
    | 'RolloutRolledBack'
    | 'RolloutStopped';
  readonly message: string;
  readonly isWarning: boolean;
}

export interface Advance {
  readonly state: RolloutState;
  readonly happenings: readonly Happening[];
}

/** The state machine of a rollout: what follows from a state and what is seen. Pure, so that it can be run through with a clock of its own. */
export function advance(state: RolloutState, input: Input, pace: RolloutPlan['pace']): Advance {
  if (isEnd(state.phase)) return { state, happenings: [] };
  const { observed, now, request } = input;
  if (!observed.exists) return stop(state, now, 'the InferenceService was deleted');
  const isGoing = !isLeaving(state.phase);
  if (isGoing && observed.interference !== undefined) {
    const { reason, isUnsafe } = observed.interference;
    // An unjudged revision gets nothing; what a person has set by hand stays.
    return isUnsafe ? hold(state, now, reason, 0) : stop(state, now, reason);
  }
  if (isGoing && request === 'abort' && state.phase !== 'promoting') return revert({ ...state, isAborted: true }, now, 'aborted by request');
  const told = isGoing ? obey(state, input) : { state, happenings: [] };
  const next = advancePhase(told.state, input, pace);
  return { state: next.state, happenings: [...told.happenings, ...next.happenings] };
}

function isLeaving(phase: Phase): boolean {
  return phase === 'reverting' || phase === 'restoring' || phase === 'releasing' || phase === 'holding';
}

/** A paused rollout keeps its weight and is judged, so that it still rolls back, but no step begins. A resumed step starts anew. */
function obey(state: RolloutState, { request, now }: Input): Advance {
  if (request === 'pause' && !state.isPaused) {
    return { state: { ...state, isPaused: true }, happenings: [told('RolloutPaused', `Paused at ${state.weight} %`)] };
  }
  if (request === 'resume' && state.isPaused) {
    const since = state.phase === 'judging' ? now : state.since;
    return { state: { ...state, isPaused: false, since }, happenings: [told('RolloutResumed', `Resumed at ${state.weight} %`)] };
  }
  return { state, happenings: [] };
}

function advancePhase(state: RolloutState, input: Input, pace: RolloutPlan['pace']): Advance {
  const { observed, now } = input;
  const isLate = now - state.since > pace.readyMs;
  switch (state.phase) {
    case 'preparing':
      if (observed.failure !== undefined) return revert(state, now, `the canary cannot start: ${observed.failure}`);
      if (observed.isCanaryReady) return begin({ ...state, ...(observed.canary === undefined ? {} : { canary: observed.canary }) }, now, 0);
      return isLate ? revert(state, now, `the canary was not ready within ${pace.readyMs / 1000} s`) : keep(state);
    case 'shifting':
      if (observed.weight === state.weight) return keep(enter(state, 'judging', now));
      return isLate ? hold(state, now, `traffic did not move to ${state.weight} % within ${pace.readyMs / 1000} s`, state.judgedWeight) : keep(state);
    case 'judging':
      return advanceJudging(state, input, pace);
    case 'promoting':
      if (observed.isSettled) return end(state, now, 'promoted', told('RolloutPromoted', `${state.canary ?? 'the canary'} has all traffic`));
      return isLate
        ? stop(state, now, `the canary has all traffic, but was not made the stable revision within ${pace.readyMs / 1000} s`)
        : keep(state);
    case 'reverting':
      return keep(observed.weight === 0 || isLate ? enter(state, 'restoring', now) : state);
    case 'restoring':
      if (observed.isSettled) return keep(enter(state, 'releasing', now));
      // Traffic is where it was before: better to leave it there than to release a revision that is not ready.
      return isLate
        ? end(state, now, 'rolled_back', rolledBack(state, ', but the previous predictor is not ready again: 0 % stays set'))
        : keep(state);
    case 'releasing':
      return observed.isSettled || isLate ? end(state, now, 'rolled_back', rolledBack(state)) : keep(state);
    case 'holding':
      if (observed.weight !== state.weight && !isLate) return keep(state);
      return stop(state, now, state.reason ?? 'stopped');
    default:
      return keep(state);
  }
}

function advanceJudging(state: RolloutState, { now, verdict, observed }: Input, pace: RolloutPlan['pace']): Advance {
  if (observed.failure !== undefined && !observed.isCanaryReady) return revert(state, now, `the canary failed: ${observed.failure}`);
  if (verdict === undefined) return keep(state);
  const looked = { ...state, look: { at: now, kind: verdict.kind, reason: verdict.reason } };
  if (verdict.kind === 'fail') return revert(looked, now, verdict.reason);
  const elapsed = now - state.since;
  if (elapsed < pace.intervalMs || state.isPaused) return keep(looked);
  if (verdict.kind === 'wait') {
    return elapsed < pace.intervalMs + pace.patienceMs
      ? keep(looked)
      : hold(looked, now, `step ${state.weight} % could not be judged: ${verdict.reason}`, state.judgedWeight);
  }
  const passed = [...state.passed, { weight: state.weight, at: now, figures: verdict.reason }];
  const judged: RolloutState = { ...looked, passed, judgedWeight: state.weight };
  const happening = told('RolloutStepPassed', `Step ${state.weight} % passed: ${verdict.reason}`);
  const next = state.step + 1 < state.steps.length ? begin(judged, now, state.step + 1) : keep(enter(judged, 'promoting', now));
  return { state: next.state, happenings: [happening, ...next.happenings] };
}

function begin(state: RolloutState, now: number, step: number): Advance {
  const weight = state.steps[step] ?? 100;
  return {
    state: enter({ ...state, step, weight }, 'shifting', now),
    happenings: [told('RolloutStep', `Sending ${weight} % to ${state.canary ?? 'the canary'}`)],
  };
}

function revert(state: RolloutState, now: number, reason: string): Advance {
  return {
    state: enter({ ...state, reason, weight: 0 }, 'reverting', now),
    happenings: [warned('RolloutRollingBack', `Rolling back from ${state.weight} %: ${reason}`)],
  };
}

function hold(state: RolloutState, now: number, reason: string, weight: number): Advance {
  return { state: enter({ ...state, reason, weight }, 'holding', now), happenings: [] };
}

function stop(state: RolloutState, now: number, reason: string): Advance {
  return end({ ...state, reason }, now, 'stopped', warned('RolloutStopped', `Stopped at ${state.weight} %: ${reason}`));
}

function end(state: RolloutState, now: number, phase: Phase, happening: Happening): Advance {
  return { state: enter(state, phase, now), happenings: [happening] };
}

function rolledBack({ reason = 'unknown', stable }: RolloutState, more = ''): Happening {
  return warned('RolloutRolledBack', `${stable} has all traffic again: ${reason}${more}`);
}

function enter(state: RolloutState, phase: Phase, now: number): RolloutState {
  return { ...state, phase, since: now };
}

function keep(state: RolloutState): Advance {
  return { state, happenings: [] };
}

function told(reason: Happening['reason'], message: string): Happening {
  return { reason, message, isWarning: false };
}

function warned(reason: Happening['reason'], message: string): Happening {
  return { reason, message, isWarning: true };
}
