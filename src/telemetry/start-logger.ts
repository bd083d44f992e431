import type { Logger } from '../core/context.ts';
import { createLogger, type LogDestination, type LoggerOptions } from './logger.ts';

export interface StartLogger {
  readonly log: Logger;
  /** Writes what was held, with the times at which it was said; from now on records are written before the call returns. */
  readonly complete: () => void;
  /** To be called when the process ends: `complete`, when something is held. */
  readonly flush: () => void;
}

type Level = 'debug' | 'info' | 'warn' | 'error';

const SEVERITY: Readonly<Record<LoggerOptions['logLevel'], number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** More records than a start writes. */
const MOST_HELD = 200;

/** A start that takes longer than this shows what it does. */
const HOLD_MS = 1000;

interface Held {
  readonly logger: HoldingLogger;
  readonly time: number;
  readonly level: Level;
  readonly fields: object;
  readonly message: string;
}

/**
 * `createLogger` for a process that is to answer soon: the logging library takes longer to import than a small model to load, so that records wait, at most
 * a second, for `complete`. An error waits for nothing.
 */
export function createStartLogger(options: LoggerOptions, destination: LogDestination): StartLogger {
  const held = new HeldRecords(options, destination);
  return {
    log: new HoldingLogger(held, (root) => root),
    complete: () => {
      held.complete();
    },
    flush: () => {
      if (held.hasSome) held.complete();
    },
  };
}

class HeldRecords {
  readonly #options: LoggerOptions;
  readonly #destination: LogDestination;
  #held: Held[] = [];
  #timer: NodeJS.Timeout | undefined;
  #root: Logger | undefined;
  /** While held records are written, the time of the one at hand. */
  #time: number | undefined;

  constructor(options: LoggerOptions, destination: LogDestination) {
    this.#options = options;
    this.#destination = destination;
  }

  get hasSome(): boolean {
    return this.#held.length > 0;
  }

  /** The real one, once there is one. */
  get root(): Logger | undefined {
    return this.#root;
  }

  hold(record: Omit<Held, 'time'>): void {
    if (SEVERITY[record.level] < SEVERITY[this.#options.logLevel]) return;
    this.#held.push({ ...record, time: Date.now() });
    this.#timer ??= setTimeout(() => {
      this.complete();
    }, HOLD_MS).unref();
    if (record.level === 'error' || this.#held.length > MOST_HELD) this.complete();
  }

  complete(): void {
    if (this.#root !== undefined) return;
    clearTimeout(this.#timer);
    this.#root = createLogger(this.#options, this.#destination, () => this.#time ?? Date.now());
    const held = this.#held;
    this.#held = [];
    for (const { logger, time, level, fields, message } of held) {
      this.#time = time;
      logger[level](fields, message);
    }
    this.#time = undefined;
  }
}

class HoldingLogger implements Logger {
  readonly #held: HeldRecords;
  readonly #derive: (root: Logger) => Logger;
  #real: Logger | undefined;

  constructor(held: HeldRecords, derive: (root: Logger) => Logger) {
    this.#held = held;
    this.#derive = derive;
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message);
  }

  child(fields: object): Logger {
    const real = this.#resolve();
    return real === undefined ? new HoldingLogger(this.#held, (root) => this.#derive(root).child(fields)) : real.child(fields);
  }

  #write(level: Level, fields: object, message: string): void {
    const real = this.#resolve();
    if (real === undefined) this.#held.hold({ logger: this, level, fields, message });
    else real[level](fields, message);
  }

  #resolve(): Logger | undefined {
    if (this.#real !== undefined) return this.#real;
    const { root } = this.#held;
    return root === undefined ? undefined : (this.#real = this.#derive(root));
  }
}
