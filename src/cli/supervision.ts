import type { Logger } from '../core/context.ts';
import { EXIT_FAILED, EXIT_OK, type Host } from './host.ts';

export interface Supervision {
  /** Resolves at the first signal or crash; never rejects. */
  readonly ended: Promise<undefined>;
  /** Exit code so far: a crash, even one while stopping, makes it a failure. */
  code(): number;
  release(): void;
}

/** 128 and the number of the signal, as shells report it. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** One Ctrl-C can arrive twice: from the terminal, and passed on by `npm start`. */
const SAME_INTERRUPT_MS = 200;

/**
 * Turns the process's events into one ending. The first signal asks for a graceful end, the second ends at once; a crash is logged once and asks
 * for a graceful end with code 1. Installed before anything else: as process 1 of a container there is no default for signals.
 */
export function supervise(host: Host, log: Logger): Supervision {
  let code = EXIT_OK;
  let isCrashed = false;
  let signalledAt: number | undefined;
  let end: (nothing: undefined) => void = () => undefined;
  const ended = new Promise<undefined>((resolve) => {
    end = resolve;
  });

  const onSignal = (signal: keyof typeof SIGNAL_CODES) => (): void => {
    const now = performance.now();
    if (signalledAt === undefined) {
      signalledAt = now;
      log.info({ signal }, 'Signal received, stopping; a second one ends the process at once');
      end(undefined);
    } else if (signal !== 'SIGINT' || now - signalledAt > SAME_INTERRUPT_MS) {
      host.exit(SIGNAL_CODES[signal]);
    }
  };
  const onCrash = (error: unknown): void => {
    if (isCrashed) return;
    isCrashed = true;
    code = EXIT_FAILED;
    log.error({ error }, 'Internal fault, stopping');
    end(undefined);
  };

  const listeners = [
    ['SIGINT', onSignal('SIGINT')],
    ['SIGTERM', onSignal('SIGTERM')],
    ['uncaughtException', onCrash],
    ['unhandledRejection', onCrash],
  ] as const;
  for (const [event, listener] of listeners) host.events.on(event, listener);
  host.releaseSignals();
  return {
    ended,
    code: () => code,
    release: () => {
      for (const [event, listener] of listeners) host.events.off(event, listener);
    },
  };
}
