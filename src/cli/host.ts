import type { LogDestination } from '../telemetry/index.ts';

/** The process as verbs see it. Only main.cts makes one of the real process; tests make their own. */
export interface Host {
  /** When the program began, on the clock of `performance.now()`. */
  readonly mainAt: number;
  /** Without the program and the script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For what was asked for; logs and complaints go to `stderr`. */
  readonly stdout: LogDestination;
  readonly stderr: LogDestination;
  /** Emits SIGTERM, SIGINT, uncaughtException and unhandledRejection. */
  readonly events: ProcessEvents;
  /**
   * Ends the watch over SIGINT and SIGTERM that the program kept from its first moment. To be called when other listeners are on: without any, Node
   * stops watching, and a signal that came while modules were loading is lost.
   */
  releaseSignals(): void;
  /** `run` is called, synchronously, when the process ends by itself or by `exit`. */
  onExit(run: () => void): void;
  /** Ends the process at once. */
  exit(code: number): void;
  /** To be called when the server has answered: what a start needs has run by then, and the next one takes it as it was compiled. */
  keepCompiled(): void;
  /** Kubernetes shows what stands in this file as the reason of a pod's end. */
  readonly terminationLogPath: string;
}

export interface ProcessEvents {
  on(event: string, listener: (detail: unknown) => void): unknown;
  off(event: string, listener: (detail: unknown) => void): unknown;
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_INTERRUPTED = 130;

/** For stderr and for a pod's status, which show one. */
export function oneLine(message: string): string {
  return message.replaceAll(/\s*\n\s*/g, '; ');
}
