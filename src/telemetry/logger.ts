import { createRequire } from 'node:module';
import type * as Pino from 'pino';
import type * as PinoPretty from 'pino-pretty';
import type { Logger } from '../core/context.ts';
import { ERROR_TABLE, isServingError } from '../core/errors.ts';
import type { TelemetrySettings } from './options.ts';

/** Where log lines go; `write` must have handed the text over when it returns, as Node's stdout and stderr do for files, pipes and terminals. */
export interface LogDestination {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

export type LoggerOptions = Pick<TelemetrySettings, 'logLevel' | 'logFormat'>;

/** At once, because the last records of a process cannot wait, and not before a logger is wanted: 40 ms. */
const load = createRequire(import.meta.url);

/**
 * Writes one record per call: a JSON object per line with `level` (a word), `time` (ISO 8601), `message` and the fields, or a line for people.
 * Both are written before the call returns, so nothing is lost when the process ends or crashes right after; no worker thread takes part.
 */
export function createLogger(options: LoggerOptions, destination: LogDestination = process.stderr, now: () => number = Date.now): Logger {
  const { pino } = load('pino') as typeof Pino;
  const isPretty = options.logFormat === 'pretty' || (options.logFormat === 'auto' && destination.isTTY === true);
  const stream = isPretty ? prettyStream(destination) : destination;
  const logger: Logger = pino(
    {
      level: options.logLevel,
      messageKey: 'message',
      errorKey: 'error',
      base: null,
      timestamp: createClock(now),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, err: describeError },
    },
    { write: (line) => void stream.write(line) },
  );
  return logger;
}

/** The time as a JSON member. Formatted once for all records of a millisecond: under load that is most of what a record costs. */
function createClock(read: () => number): () => string {
  let formatted = 0;
  let member = '';
  return () => {
    const now = read();
    if (now !== formatted) {
      formatted = now;
      member = `,"time":"${new Date(now).toISOString()}"`;
    }
    return member;
  };
}

function prettyStream(destination: LogDestination): LogDestination {
  const { prettyFactory } = load('pino-pretty') as typeof PinoPretty;
  const format = prettyFactory({
    colorize: destination.isTTY === true,
    messageKey: 'message',
    errorLikeObjectKeys: ['error', 'err'],
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
  return { write: (line) => destination.write(format(line)) };
}

/** Faults of the server with the stack and all causes; faults of a client in one line, because they say nothing about our code. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described = { type: error.name, message: error.message };
  if (!isServingError(error)) return { ...described, ...codeOf(error), stack: stackOf(error) };
  const reason = { ...described, reason: error.reason, ...(error.details === undefined ? {} : { details: error.details }) };
  return ERROR_TABLE[error.reason].http < 500 ? reason : { ...reason, stack: stackOf(error) };
}

function codeOf(error: Error): object {
  return 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
}

const MAX_CAUSES = 5;

function stackOf(error: Error): string {
  const stacks: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current instanceof Error && depth <= MAX_CAUSES; depth++) {
    stacks.push(current.stack ?? `${current.name}: ${current.message}`);
    current = current.cause;
  }
  return stacks.join('\ncaused by: ');
}
