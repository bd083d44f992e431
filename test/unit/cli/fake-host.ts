import { EventEmitter } from 'node:events';
import type { Host } from '../../../src/cli/host.ts';
import type { LogDestination } from '../../../src/telemetry/index.ts';

/** A process that is none: what it prints, its events and its end are at hand. */
export class FakeHost implements Host {
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
  readonly events = new EventEmitter();
  readonly terminationLogPath: string;
  readonly exits: number[] = [];
  readonly mainAt = 0;
  keepsCompiled = 0;
  listenersAtRelease: readonly (string | symbol)[] = [];
  readonly stdout: LogDestination;
  readonly stderr: LogDestination = { isTTY: false, write: (text) => (this.err += text) };
  #flush: () => void = () => undefined;
  out = '';
  err = '';

  constructor(options: { argv?: readonly string[]; env?: Record<string, string>; isTTY?: boolean; terminationLogPath?: string } = {}) {
    this.argv = options.argv ?? [];
    this.env = options.env ?? {};
    this.terminationLogPath = options.terminationLogPath ?? '/nowhere/termination-log';
    this.stdout = { isTTY: options.isTTY ?? false, write: (text) => (this.out += text) };
  }

  keepCompiled(): void {
    this.keepsCompiled++;
  }

  releaseSignals(): void {
    this.listenersAtRelease = this.events.eventNames();
  }

  onExit(run: () => void): void {
    this.#flush = run;
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  /** Records of the log, which goes to stderr as JSON lines; other lines are left out. */
  get records(): Record<string, unknown>[] {
    this.#flush();
    return this.err
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get messages(): unknown[] {
    return this.records.map(({ message }) => message);
  }
}
