import type { ChildProcess } from 'node:child_process';

/** Argument of a child that opens the engine's library at once. */
export const PREPARE_ENGINE = 'prepare-engine';

/** How a child's program runs. */
export interface ChildCommand {
  /** Path of the child's entry file. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a child's program; file descriptor 3 is its socket for frames. Faults of the start come as its event `error`. */
export function spawnChild({ entry, args, execArgv, env }: ChildCommand): ChildProcess {
  // Here and not before: a server without children does not wait for it.
  const { spawn } = process.getBuiltinModule('node:child_process');
  return spawn(process.execPath, [...execArgv, entry, ...args], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env });
}

/** A child that runs before its executor is there; at most one executor takes it. Whoever started it drops it in the end. */
export class EarlyChild {
  readonly #command: string;
  #child: ChildProcess | undefined;

  constructor(command: ChildCommand) {
    this.#command = JSON.stringify(command);
    this.#child = spawnChild(command);
    // It could not start: `take` sees that.
    this.#child.on('error', () => undefined);
  }

  /** The child, when it runs the very command and still runs; undefined ever after. Who takes it owns it. */
  take(command: ChildCommand): ChildProcess | undefined {
    const child = this.#child;
    if (child === undefined || JSON.stringify(command) !== this.#command) return undefined;
    this.#child = undefined;
    const isRunning = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    return isRunning ? child : undefined;
  }

  /** Undefined when it could not start, or somebody else has it now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Ends it when nobody took it. */
  drop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
