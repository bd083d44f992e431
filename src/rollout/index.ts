export type { Happening, Request } from './advance.ts';
export { problemsOfJob, renderJob } from './job.ts';
export { isBusy } from './lease.ts';
export { ROLLOUT_SECTIONS } from './options.ts';
export { readRolloutPlan, type RolloutPlan } from './plan.ts';
export type { Outcome } from './runner.ts';
export { openRollout, startRollout } from './start.ts';
export { isEnd, type RolloutState } from './state.ts';
