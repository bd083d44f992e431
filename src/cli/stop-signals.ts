import type { Host } from './host.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Aborts `signal` with `reason` at the first SIGINT or SIGTERM; `again` is called at each that follows, until `release`. */
export function watchStopSignals(
  host: Host,
  { reason, again }: { readonly reason?: Error; readonly again?: () => void } = {},
): { readonly signal: AbortSignal; release(): void } {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) again?.();
    else stop.abort(reason);
  };
  for (const name of SIGNALS) host.events.on(name, onSignal);
  host.releaseSignals();
  return {
    signal: stop.signal,
    release: () => {
      for (const name of SIGNALS) host.events.off(name, onSignal);
    },
  };
}
