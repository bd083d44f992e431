import { ServingError } from '../core/errors.ts';

export type Mode = 'Knative' | 'Standard';

/**
 * `preparing`: the new predictor starts, without traffic. `shifting`: a weight was set and is not in effect. `judging`: a step runs. `promoting`: the canary
 * becomes the stable revision. `reverting`: traffic goes back; `restoring`: the previous predictor does; `releasing`: our fields go. `holding`: traffic goes
 * back to the last judged step. The last three are ends.
 */
export type Phase =
  'preparing' | 'shifting' | 'judging' | 'promoting' | 'reverting' | 'restoring' | 'releasing' | 'holding' | 'promoted' | 'rolled_back' | 'stopped';

/** Counts of the stable revision from a step in which it had traffic, for the step in which it has none. */
export interface Reference {
  readonly requests: number;
  readonly errors: number;
  /** Bounds in seconds; the last one, infinity, is null in JSON. */
  readonly bounds?: readonly (number | null)[];
  readonly counts?: readonly number[];
}

export interface Passed {
  readonly weight: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly figures: string;
}

/** All that a runner must know to go on where another one was killed. Written before what it says is done. Times are milliseconds since 1970. */
export interface RolloutState {
  readonly format: 1;
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  /** Of the InferenceService: another uid is another service of the same name. */
  readonly uid: string;
  readonly mode: Mode;
  readonly phase: Phase;
  /** When the phase began. */
  readonly since: number;
  readonly startedAt: number;
  readonly steps: readonly number[];
  /** Index into `steps` of the step that runs, or that comes. */
  readonly step: number;
  /** Percent that the canary is to have now. */
  readonly weight: number;
  /** Percent of the last step that passed, 0 before. */
  readonly judgedWeight: number;
  readonly isPaused: boolean;
  /** Why it ends, or ended. */
  readonly reason?: string;
  readonly isAborted?: boolean;
  /** What the InferenceService's spec.predictor was; undefined for a canary that was there already. */
  readonly previous?: unknown;
  /** What is rolled out. Knative mode: fields of spec.predictor, undefined for a canary that was there already. Standard mode: the canary's predictor. */
  readonly change?: unknown;
  /** Fields of spec.predictor that were ours before: they are applied again each time, because what a field manager leaves out is removed. */
  readonly kept?: unknown;
  readonly stable: string;
  /** Undefined until it is known: Knative names it. */
  readonly canary?: string;
  /** Standard mode: KIND/NAME of what splits the traffic. */
  readonly route?: string;
  readonly reference?: Reference;
  readonly passed: readonly Passed[];
  /** The last look at the metrics, for who asks. */
  readonly look?: { readonly at: number; readonly kind: string; readonly reason: string };
}

export function isEnd(phase: Phase): boolean {
  return phase === 'promoted' || phase === 'rolled_back' || phase === 'stopped';
}

export function encodeState(state: RolloutState): string {
  return JSON.stringify(state, null, 1);
}

/** Throws when somebody else wrote it, or a later version of this program. */
export function decodeState(text: string): RolloutState {
  let state: unknown;
  try {
    state = JSON.parse(text);
  } catch (error) {
    throw new ServingError(
      'invalid_request',
      `Cannot read the rollout's state: it is no JSON (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const { format, phase, steps, uid } = (state ?? {}) as Partial<RolloutState>;
  if (format !== 1 || typeof phase !== 'string' || !Array.isArray(steps) || typeof uid !== 'string') {
    throw new ServingError('invalid_request', `Cannot read the rollout's state: expected format 1, got ${JSON.stringify(format ?? null)}`);
  }
  return state as RolloutState;
}
