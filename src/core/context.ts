import type { StopSignal } from './stop-signal.ts';

/** The part of a logger that stages use; pino's loggers fit it. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

const ignore = (): void => undefined;
export const SILENT_LOGGER: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => SILENT_LOGGER };

export type Protocol = 'v2-rest' | 'v2-grpc' | 'v1-rest';

/** What travels beside a request through every stage. */
export interface RequestContext {
  /** For logs and traces: the client's request id, else its x-request-id header, else generated. */
  readonly id: string;
  readonly protocol: Protocol;
  /** Aborts when the client has left or cancelled; never by a deadline, which the scheduler watches. */
  readonly signal: StopSignal;
  /** On the clock of `performance.now()`, milliseconds; Infinity without one. */
  readonly deadline: number;
  /** Request headers or gRPC metadata, names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}
