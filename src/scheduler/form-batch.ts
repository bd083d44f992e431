import type { Fifo } from './fifo.ts';
import type { Pending } from './pending.ts';
import type { BatchPolicy } from './policy.ts';

/** Requests behind the oldest that are looked at for its company: what a batch costs must not grow with the queue. */
const MOST_LOOKED_AT = 1024;

/** What leaves the lane together now, or when to look again. */
export type NextBatch = { readonly members: readonly Pending[] } | { readonly waitUntil: number };

/**
 * The oldest request of the lane, and with it those behind it that can run in the same run, in the order they came: unlike requests between them are passed
 * over, and neither side waits for the other. With every batch the oldest goes, so that nobody waits for more batches than there were requests before it.
 * `maxRows` is 1 where the model takes one request at a time. Removes nothing. The lane is not empty.
 */
export function nextBatch(lane: Fifo<Pending>, oldest: Pending, maxRows: number, policy: BatchPolicy, now: number): NextBatch {
  if (maxRows < 2) return { members: [oldest] };
  const { maxQueueDelayMs, preferredBatchSizes } = policy;
  if (maxQueueDelayMs === 0 || oldest.submittedAt + maxQueueDelayMs <= now) {
    return { members: lane.size === 1 ? [oldest] : cutToPreferred(companyOf(oldest, maxRows), preferredBatchSizes) };
  }
  const enough = Math.min(maxRows, ...preferredBatchSizes);
  const seen = new Set<string>();
  let looked = 0;
  for (let candidate: Pending | undefined = oldest; candidate !== undefined && looked < MOST_LOOKED_AT; candidate = candidate.next, looked++) {
    if (candidate.rows === undefined) return { members: [candidate] };
    if (seen.has(candidate.form)) continue;
    seen.add(candidate.form);
    const members = companyOf(candidate, maxRows);
    if (rowsOf(members) >= enough || candidate.submittedAt + maxQueueDelayMs <= now) return { members: cutToPreferred(members, preferredBatchSizes) };
  }
  return { waitUntil: oldest.submittedAt + maxQueueDelayMs };
}

/** `first` and those behind it of its form, as long as the rows fit. */
function companyOf(first: Pending, maxRows: number): Pending[] {
  const members = [first];
  let rows = first.rows;
  if (rows === undefined) return members;
  let looked = 0;
  for (let other = first.next; other !== undefined && rows < maxRows && looked < MOST_LOOKED_AT; other = other.next, looked++) {
    if (other.rows === undefined || other.form !== first.form) continue;
    // Those behind it do not overtake it: one form is served in the order of arrival.
    if (rows + other.rows > maxRows) break;
    rows += other.rows;
    members.push(other);
  }
  return members;
}

function cutToPreferred(members: Pending[], sizes: readonly number[]): Pending[] {
  const total = rowsOf(members);
  const size = Math.max(0, ...sizes.filter((preferred) => preferred <= total));
  if (size === 0 || size === total) return members;
  let rows = 0;
  const end = members.findIndex((member) => (rows += member.rows ?? 0) > size);
  return members.slice(0, Math.max(1, end));
}

function rowsOf(members: readonly Pending[]): number {
  let rows = 0;
  for (const member of members) rows += member.rows ?? 0;
  return rows;
}
