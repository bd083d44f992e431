import { isServingError, type ServingError } from '../core/errors.ts';
import {
  isBusy,
  isEnd,
  openRollout,
  problemsOfJob,
  readRolloutPlan,
  renderJob,
  startRollout,
  type Outcome,
  type RolloutPlan,
  type RolloutState,
} from '../rollout/index.ts';
import { refuseArguments } from './arguments.ts';
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, oneLine, type Host } from './host.ts';
import { createRolloutView, renderRollout } from './rollout-view.ts';
import { watchStopSignals } from './stop-signals.ts';

/** Exit codes beyond 0 (promoted, or nothing to do), 1 (stopped, or could not run) and 2 (wrong usage). */
const EXIT_ROLLED_BACK = 3;
const EXIT_BUSY = 4;

const ACTIONS = ['run', 'status', 'pause', 'resume', 'abort', 'job'] as const;
type Action = (typeof ACTIONS)[number];

/** `rollout ACTION NAME`: moves traffic of an InferenceService to a new predictor step by step, as long as metrics allow it. */
export async function runRolloutVerb(args: readonly string[], host: Host): Promise<number> {
  const [action = '', name = '', ...flags] = args;
  if (!isAction(action) || name === '' || name.startsWith('-')) {
    return refuseArguments(
      [
        `expected ${ACTIONS.slice(0, -1).join(', ')} or ${ACTIONS.at(-1) ?? ''} and the name of an InferenceService, got ${JSON.stringify(`${action} ${name}`.trim())}`,
      ],
      host,
    );
  }
  const plan = readRolloutPlan(name, flags, host.env);
  if ('problems' in plan) return refuseArguments(plan.problems, host);
  if (action === 'job') return printJob(plan, flags, host);
  try {
    if (action === 'run') return await run(plan, host, false);
    return action === 'status' ? await showStatus(plan, host) : await ask(plan, action, host);
  } catch (error) {
    if (!isServingError(error)) throw error;
    return fail(error, host);
  }
}

function printJob(plan: RolloutPlan, flags: readonly string[], host: Host): number {
  const problems = problemsOfJob(plan);
  if (problems.length > 0) return refuseArguments(problems, host);
  host.stdout.write(renderJob(plan, flags));
  return EXIT_OK;
}

function isAction(word: string): word is Action {
  return ACTIONS.some((action) => action === word);
}

function fail(error: ServingError, host: Host): number {
  host.stderr.write(`${oneLine(error.message)}\n`);
  return isBusy(error) ? EXIT_BUSY : EXIT_FAILED;
}

async function run(plan: RolloutPlan, host: Host, isAborting: boolean): Promise<number> {
  const stop = watchStopSignals(host, {
    again: () => {
      host.exit(EXIT_INTERRUPTED);
    },
  });
  const view = createRolloutView(host, plan.output.output);
  try {
    const outcome = await startRollout(plan, { signal: stop.signal, onState: view.show, isAborting });
    return conclude(outcome, plan, host);
  } finally {
    view.end();
    stop.release();
  }
}

function conclude({ kind, state }: Outcome, plan: RolloutPlan, host: Host): number {
  if (kind === 'nothing') {
    host.stdout.write(`Nothing to roll out: ${plan.name} has no canary, and what was given is what it has\n`);
    return EXIT_OK;
  }
  if (kind === 'planned') {
    host.stdout.write(`${renderRollout(state, Date.now())}Nothing was changed (--dry_run)\n`);
    return EXIT_OK;
  }
  if (kind === 'interrupted') {
    host.stderr.write(`Left at ${state?.weight ?? 0} %: run the same command again to go on\n`);
    return EXIT_INTERRUPTED;
  }
  return state.phase === 'promoted' ? EXIT_OK : state.phase === 'rolled_back' ? EXIT_ROLLED_BACK : EXIT_FAILED;
}

async function showStatus(plan: RolloutPlan, host: Host): Promise<number> {
  const { state, request } = await (await openRollout(plan)).read();
  if (state === undefined) {
    host.stderr.write(`There is no rollout of ${plan.name}\n`);
    return EXIT_FAILED;
  }
  if (plan.output.output === 'json') host.stdout.write(`${JSON.stringify({ ...state, ...(request === undefined ? {} : { request }) })}\n`);
  else host.stdout.write(`${renderRollout(state, Date.now())}${request === undefined ? '' : `Asked to ${request}\n`}`);
  return EXIT_OK;
}

/** Pausing and resuming is for the runner to do. An abort needs none: it is done here when nobody else holds the lease. */
async function ask(plan: RolloutPlan, action: 'pause' | 'resume' | 'abort', host: Host): Promise<number> {
  const rollout = await openRollout(plan);
  const { state } = await rollout.read();
  if (state === undefined || (isEnd(state.phase) && !(action === 'abort' && state.phase === 'stopped'))) {
    host.stderr.write(`Cannot ${action}: ${state === undefined ? `there is no rollout of ${plan.name}` : `the rollout is ${words(state)}`}\n`);
    return EXIT_FAILED;
  }
  await rollout.ask(action);
  if (action !== 'abort') {
    host.stdout.write(`Asked the runner to ${action}; "kserve-node rollout status ${plan.name}" shows when it has\n`);
    return EXIT_OK;
  }
  try {
    const code = await run(plan, host, true);
    return code === EXIT_ROLLED_BACK ? EXIT_OK : code;
  } catch (error) {
    if (!isBusy(error)) throw error;
    host.stdout.write(`Asked the runner to abort: it rolls back\n`);
    return EXIT_OK;
  }
}

function words({ phase }: RolloutState): string {
  return phase.replaceAll('_', ' ');
}
