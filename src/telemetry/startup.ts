/** Points that a start passes, in order: `child` only where a process of its own runs the model, `answer` with the first inference. */
export const STARTUP_PHASES = ['main', 'options', 'modules', 'child', 'models', 'listening', 'answer'] as const;

export type StartupPhase = (typeof STARTUP_PHASES)[number];

const MEANINGS: Readonly<Record<StartupPhase, string>> = {
  main: 'Node runs the program',
  options: 'options are read and checked',
  modules: 'the server is imported',
  child: 'the process of the first model is up',
  models: 'all models are loaded',
  listening: 'ports are open, ready',
  answer: 'first inference answered',
};

export type StartupObserver = (phase: StartupPhase, milliseconds: number) => void;

/** What the kernel needs to get an answer that was just handed over. */
const WRITTEN_AFTER_MS = 1;

/** After the ports are open: who waited for that has asked by then. */
const QUIET_AFTER_MS = 100;

/** When a start passed its points, in milliseconds since the process began. The first time counts. */
export class Startup {
  readonly #reached = new Map<StartupPhase, number>();
  readonly #observers: StartupObserver[] = [];
  readonly #notes = new Map<StartupPhase, string>();

  reached(phase: StartupPhase, at = performance.now()): void {
    if (this.#reached.has(phase)) return;
    this.#reached.set(phase, at);
    for (const observe of this.#observers) observe(phase, at);
  }

  /** Told of the points that were passed already, and of each further one. */
  observe(observer: StartupObserver): void {
    for (const [phase, at] of this.entries()) observer(phase, at);
    this.#observers.push(observer);
  }

  /** What the report says of a point besides. */
  note(phase: StartupPhase, text: string): void {
    this.#notes.set(phase, text);
  }

  /** Resolves when the first answer is written. */
  answered(): Promise<void> {
    return new Promise((resolve) => {
      this.observe((phase) => {
        if (phase === 'answer') setTimeout(resolve, WRITTEN_AFTER_MS);
      });
    });
  }

  /**
   * Resolves when what the start left out may follow: the first answer is written, or nobody has asked for a while. Each call resolves in a task of its own,
   * in the order of the calls: no request waits for all that follows.
   */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.observe((phase) => {
        if (phase === 'answer') setTimeout(resolve, WRITTEN_AFTER_MS);
        else if (phase === 'listening') setTimeout(resolve, QUIET_AFTER_MS).unref();
      });
    });
  }

  /** In order; those not passed are left out. */
  entries(): readonly (readonly [StartupPhase, number])[] {
    return STARTUP_PHASES.flatMap((phase): (readonly [StartupPhase, number])[] => {
      const at = this.#reached.get(phase);
      return at === undefined ? [] : [[phase, at]];
    });
  }

  /** A table for people: each point, when it was passed and how long that took since the one before. */
  render(): string {
    let last = 0;
    const lines = this.entries().map(([phase, at]) => {
      const line = `  ${phase.padEnd(10)}${at.toFixed(0).padStart(7)} ms  +${(at - last).toFixed(0).padEnd(6)} ${this.#meaningOf(phase)}`;
      last = at;
      return line;
    });
    return ['Start-up, since the process began:', ...lines, ''].join('\n');
  }

  #meaningOf(phase: StartupPhase): string {
    const note = this.#notes.get(phase);
    return note === undefined ? MEANINGS[phase] : `${MEANINGS[phase]} (${note})`;
  }
}
