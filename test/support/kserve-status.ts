/** Of an InferenceService in Knative mode, what KServe and Knative make of its predictor; as recorded with KServe 0.20. */
export interface PredictorStatus {
  readonly latestCreatedRevision: string;
  readonly latestReadyRevision: string;
  readonly latestRolledoutRevision: string;
  readonly previousRolledoutRevision?: string;
  readonly traffic: readonly { readonly latestRevision: boolean; readonly percent: number; readonly revisionName: string; readonly tag?: string }[];
}

export function revisionName(service: string, number: number): string {
  return `${service}-predictor-0000${String(number)}`;
}

export function firstStatus(service: string): PredictorStatus {
  const revision = revisionName(service, 1);
  return {
    latestCreatedRevision: revision,
    latestReadyRevision: revision,
    latestRolledoutRevision: revision,
    traffic: [{ latestRevision: true, percent: 100, revisionName: revision }],
  };
}

/** The status that follows when revisions are ready at once. `isNew`: something other than the percentage has changed. */
export function statusAfter(service: string, before: PredictorStatus, percent: number | undefined, isNew: boolean): PredictorStatus {
  const created = isNew ? revisionName(service, Number(before.latestCreatedRevision.slice(-1)) + 1) : before.latestCreatedRevision;
  const isAll = percent === undefined || percent === 100;
  let { latestRolledoutRevision: rolledOut, previousRolledoutRevision: previous } = before;
  if (isAll && rolledOut !== created) [rolledOut, previous] = [created, rolledOut];
  // Back after everything was rolled out: one revision is remembered.
  else if (!isAll && rolledOut === created && previous !== undefined) rolledOut = previous;
  const latest = { latestRevision: true, percent: percent ?? 100, revisionName: created };
  const rest = { latestRevision: false, percent: 100 - (percent ?? 100), revisionName: rolledOut, tag: 'prev' };
  return {
    latestCreatedRevision: created,
    latestReadyRevision: created,
    latestRolledoutRevision: rolledOut,
    ...(previous === undefined ? {} : { previousRolledoutRevision: previous }),
    traffic: isAll ? [latest] : [latest, rest],
  };
}

/** What makes a revision: the predictor without its traffic. */
export function templateOf(predictor: unknown): string {
  return JSON.stringify({ ...(predictor as object), canaryTrafficPercent: undefined });
}
