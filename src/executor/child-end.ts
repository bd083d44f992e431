/** How a child came to its end. */
export interface ChildEnd {
  readonly pid: number | undefined;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  /** Why the parent killed it; absent when it died by itself. */
  readonly killedBecause?: string;
  /** Why it never ran. */
  readonly spawnError?: string;
  readonly lastStderrLine?: string;
}

/** The end in words for clients and logs, to follow "its process", e.g. `was killed by SIGKILL, probably out of memory`. */
export function describeEnd(end: ChildEnd): string {
  if (end.spawnError !== undefined) return `could not be started: ${end.spawnError}`;
  if (end.killedBecause !== undefined) return `was ended by the server: ${end.killedBecause}`;
  if (end.exitSignal === 'SIGABRT' && end.lastStderrLine?.includes('heap out of memory') === true) return 'ran out of JavaScript heap';
  if (end.exitSignal === 'SIGKILL') return 'was killed by SIGKILL, probably out of memory';
  if (end.exitSignal !== null) return `was killed by ${end.exitSignal}`;
  return end.exitCode === null ? 'is gone for an unknown reason' : `exited with code ${end.exitCode}`;
}
