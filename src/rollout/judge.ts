import { bucketOf, quantileOf, slowerThan, totalOf, type Histogram } from './histogram.ts';
import { pValueOfMore } from './statistics.ts';

/** What one side answered during a step. */
export interface Side {
  readonly requests: number;
  readonly errors: number;
  readonly latency?: Histogram;
}

/** A query of the user's and what it may be. `canary` and `stable` are NaN where Prometheus had no value. */
export interface CustomValue {
  readonly name: string;
  readonly canary: number;
  readonly stable: number;
  readonly max?: number;
  readonly min?: number;
  /** Most that the canary's value may lie below, or above, the stable revision's. */
  readonly maxDrop?: number;
  readonly maxRise?: number;
}

export interface StepWindow {
  readonly canary: Side;
  readonly stable: Side;
  readonly custom: readonly CustomValue[];
}

export interface Criteria {
  readonly minRequests: number;
  readonly errorMargin: number;
  readonly maxErrorRatio: number | undefined;
  readonly maxP99Ratio: number;
  /** Chance of a wrong alarm allowed to one look; `lookSignificance` says how it follows from that of a whole rollout. */
  readonly significance: number;
}

/** `fail` ends the rollout at once, `pass` may end the step when its time is over, `wait` asks for more requests or metrics. */
export interface Verdict {
  readonly kind: 'pass' | 'fail' | 'wait';
  /** Why, for people; of a pass, the figures. */
  readonly reason: string;
}

/** Tests of one look: errors, and latency at the two bounds around the stable revision's p99. */
const TESTS = 3;
const P99 = 0.99;

/** Looks are many and each may be wrong by chance: dividing by their number (Bonferroni) keeps the sum within what was allowed to the rollout. */
export function lookSignificance(significance: number, looks: number): number {
  return significance / (TESTS * Math.max(1, looks));
}

/** Judges the canary by what both revisions answered in one step. What fails needs to be both certain (the test) and large enough to matter (the margin). */
export function judge(window: StepWindow, criteria: Criteria): Verdict {
  const { canary, stable } = window;
  const { minRequests, maxErrorRatio } = criteria;
  // Certain or not, an error ratio that was called too high is too high once there are enough requests to speak of one.
  const ratio = canary.errors / canary.requests;
  if (maxErrorRatio !== undefined && canary.requests >= minRequests && ratio > maxErrorRatio) {
    return { kind: 'fail', reason: `${percent(ratio)} of the canary's requests failed, more than ${percent(maxErrorRatio)}` };
  }
  const enough = canary.requests >= minRequests && stable.requests >= minRequests;
  if (enough) {
    const failure = judgeErrors(canary, stable, criteria) ?? judgeLatency(canary.latency, stable.latency, criteria);
    if (failure !== undefined) return { kind: 'fail', reason: failure };
  }
  const custom = enough ? window.custom.flatMap((value) => judgeCustom(value) ?? []) : [];
  const first = custom.find(({ kind }) => kind === 'fail') ?? custom[0];
  if (first !== undefined) return first;
  if (enough && !haveSameBuckets(canary.latency, stable.latency))
    return { kind: 'wait', reason: 'latencies of canary and stable revision are in different buckets' };
  if (!enough) return { kind: 'wait', reason: `too few requests: canary ${canary.requests}, stable ${stable.requests}, needed ${minRequests} each` };
  return { kind: 'pass', reason: describe(canary, stable) };
}

function judgeErrors(canary: Side, stable: Side, { errorMargin, significance }: Criteria): string | undefined {
  const [ours, theirs] = [canary.errors / canary.requests, stable.errors / stable.requests];
  if (ours - theirs <= errorMargin) return undefined;
  const chance = pValueOfMore({ hits: canary.errors, total: canary.requests }, { hits: stable.errors, total: stable.requests });
  if (chance >= significance) return undefined;
  return (
    `${percent(ours)} of the canary's requests failed, ${percent(theirs)} of the stable revision's ` +
    `(${canary.errors} of ${canary.requests}, ${stable.errors} of ${stable.requests}, p = ${chance.toExponential(1)})`
  );
}

/**
 * A test of the tail: are more of the canary's requests slower than the stable revision's p99? Ranks of all requests (Mann-Whitney) would hardly move when one
 * percent becomes ten times slower. Buckets know the p99 only up to its bucket, so both bounds of it are tried.
 */
function judgeLatency(
  canary: Histogram | undefined,
  stable: Histogram | undefined,
  { maxP99Ratio, significance, minRequests }: Criteria,
): string | undefined {
  if (canary === undefined || stable === undefined || totalOf(canary) < minRequests || totalOf(stable) < minRequests) return undefined;
  if (!haveSameBuckets(canary, stable)) return undefined;
  const [ours, theirs] = [quantileOf(canary, P99), quantileOf(stable, P99)];
  if (ours <= theirs * maxP99Ratio) return undefined;
  const bucket = bucketOf(stable, P99);
  for (const index of [bucket, bucket - 1]) {
    if (index < 0) continue;
    const [slow, usual] = [slowerThan(canary, index), slowerThan(stable, index)];
    const chance = pValueOfMore(slow, usual);
    if (chance >= significance) continue;
    return (
      `p99 of the canary is ${seconds(ours)}, of the stable revision ${seconds(theirs)}: ${percent(slow.hits / slow.total)} and ` +
      `${percent(usual.hits / usual.total)} of requests took more than ${seconds(stable.bounds[index] ?? 0)} (p = ${chance.toExponential(1)})`
    );
  }
  return undefined;
}

function haveSameBuckets(canary: Histogram | undefined, stable: Histogram | undefined): boolean {
  if (canary === undefined || stable === undefined) return true;
  return canary.bounds.length === stable.bounds.length && canary.bounds.every((bound, index) => bound === stable.bounds[index]);
}

function judgeCustom({ name, canary, stable, max, min, maxDrop, maxRise }: CustomValue): Verdict | undefined {
  if (Number.isNaN(canary)) return { kind: 'wait', reason: `query ${name} has no value for the canary` };
  const isRelative = maxDrop !== undefined || maxRise !== undefined;
  if (isRelative && Number.isNaN(stable)) return { kind: 'wait', reason: `query ${name} has no value for the stable revision` };
  const fail = (than: string): Verdict => ({ kind: 'fail', reason: `query ${name} is ${figure(canary)} for the canary, ${than}` });
  if (max !== undefined && canary > max) return fail(`above ${figure(max)}`);
  if (min !== undefined && canary < min) return fail(`below ${figure(min)}`);
  if (maxDrop !== undefined && stable - canary > maxDrop) return fail(`more than ${figure(maxDrop)} below the stable revision's ${figure(stable)}`);
  if (maxRise !== undefined && canary - stable > maxRise) return fail(`more than ${figure(maxRise)} above the stable revision's ${figure(stable)}`);
  return undefined;
}

function describe(canary: Side, stable: Side): string {
  const side = ({ requests, errors, latency }: Side): string => {
    const p99 = latency === undefined ? NaN : quantileOf(latency, P99);
    return `${requests} requests, ${percent(errors / requests)} errors${Number.isNaN(p99) ? '' : `, p99 ${seconds(p99)}`}`;
  };
  return `canary ${side(canary)}; stable ${side(stable)}`;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

function seconds(value: number): string {
  return `${Number((value * 1000).toPrecision(3))} ms`;
}

function figure(value: number): string {
  return String(Number(value.toPrecision(4)));
}
