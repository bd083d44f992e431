import type { Answer, Lane } from './connection.ts';
import type { Arrivals } from './arrivals.ts';

export interface LoadPhaseOptions {
  /** Of a closed loop: all of them, always under way. Of an open one: those open at first. */
  readonly lanes: Lane[];
  /** For an open loop, which opens lanes up to `maxLanes` as they are needed. */
  readonly openLoop?: { readonly arrivals: Arrivals; readonly maxLanes: number; readonly openLane: () => Lane };
  readonly messages: readonly Buffer[];
  /** Which message comes first; the phases of a run go on where the last one stopped. */
  readonly firstMessage: number;
  /** Requests are sent for so long, or until `requests` are sent. */
  readonly durationMs: number;
  readonly requests: number;
  readonly timeoutMs: number;
  /** No request is sent after it aborts. */
  readonly signal: AbortSignal;
  readonly onAnswer: (answer: Answer, message: number, latencyMs: number) => void;
  /** Of an open loop: a request left so long after it was due. */
  readonly onLate?: (lateMs: number) => void;
}

export interface LoadPhaseResult {
  readonly sent: number;
  /** From the start to the last answer. */
  readonly elapsedMs: number;
  /** Of an open loop: due, but not sent when the time was over. */
  readonly unsent: number;
}

/** After a connection broke or was refused, its lane waits: a server that is away is not asked in a tight loop. */
const PAUSE_AFTER_BREAK_MS = 100;
/** Answers still under way when a run is broken off are waited for no longer. */
const MAX_LAST_ANSWERS_MS = 2000;

/** Sends, waits for the last answer, and resolves; never rejects. */
export function runLoadPhase(options: LoadPhaseOptions): Promise<LoadPhaseResult> {
  return new Promise((resolve) => {
    new LoadPhase(options, resolve).start();
  });
}

/** Owns the lanes while it runs: each carries one request at a time, and its end starts the next. */
class LoadPhase {
  readonly #options: LoadPhaseOptions;
  readonly #resolve: (result: LoadPhaseResult) => void;
  readonly #free: Lane[] = [];
  /** Lanes under way and when their requests were sent. */
  readonly #busy = new Map<Lane, number>();
  readonly #startedAt = performance.now();
  #paused = 0;
  #sent = 0;
  #isOver = false;
  #isDone = false;
  #nextDue = Infinity;
  #lastAnswerAt = this.#startedAt;
  #sweep: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  #tick: NodeJS.Timeout | undefined;

  constructor(options: LoadPhaseOptions, resolve: (result: LoadPhaseResult) => void) {
    this.#options = options;
    this.#resolve = resolve;
  }

  start(): void {
    const { lanes, openLoop, durationMs, timeoutMs, signal, requests } = this.#options;
    if (signal.aborted || durationMs <= 0 || requests <= 0) {
      this.#isOver = true;
      this.#finish();
      return;
    }
    this.#sweep = setInterval(this.#dropLate, Math.min(100, timeoutMs));
    if (durationMs !== Infinity) this.#end = setTimeout(this.#stopSending, durationMs);
    signal.addEventListener('abort', this.#breakOff);
    if (openLoop === undefined) {
      for (const lane of lanes) this.#sendOn(lane, performance.now());
      return;
    }
    this.#free.push(...lanes);
    this.#nextDue = openLoop.arrivals();
    this.#sendDue();
  }

  /** Sends on the lane, or leaves it alone when nothing is to be sent any more. `dueAt`: from when on its latency counts. */
  #sendOn(lane: Lane, dueAt: number): void {
    const { messages, firstMessage, onAnswer, requests } = this.#options;
    if (this.#isOver) return;
    const index = (firstMessage + this.#sent++) % messages.length;
    const message = messages[index];
    if (message === undefined) return;
    if (this.#sent >= requests) this.#isOver = true;
    this.#busy.set(lane, performance.now());
    lane.send(message, (answer) => {
      const now = performance.now();
      this.#busy.delete(lane);
      this.#lastAnswerAt = now;
      onAnswer(answer, index, now - dueAt);
      if (answer.failure !== undefined && isBreak(answer.failure)) {
        this.#pause(lane);
      } else this.#release(lane);
    });
  }

  #release(lane: Lane): void {
    if (this.#options.openLoop === undefined) this.#sendOn(lane, performance.now());
    else {
      this.#free.push(lane);
      this.#sendDue();
    }
    this.#finish();
  }

  #pause(lane: Lane): void {
    this.#paused++;
    setTimeout(() => {
      this.#paused--;
      this.#release(lane);
    }, PAUSE_AFTER_BREAK_MS);
  }

  /** Everything that is due and finds a lane; then waits for the next. What finds none waits for a lane, and its latency grows. */
  readonly #sendDue = (): void => {
    const { openLoop, onLate, durationMs } = this.#options;
    if (openLoop === undefined) return;
    clearTimeout(this.#tick);
    while (!this.#isOver && this.#nextDue < durationMs) {
      const now = performance.now();
      const dueAt = this.#startedAt + this.#nextDue;
      if (dueAt > now) {
        this.#tick = setTimeout(this.#sendDue, dueAt - now);
        return;
      }
      const lane = this.#free.pop() ?? this.#openLane(openLoop);
      if (lane === undefined) return;
      onLate?.(now - dueAt);
      this.#nextDue = openLoop.arrivals();
      this.#sendOn(lane, dueAt);
    }
  };

  #openLane({ maxLanes, openLane }: NonNullable<LoadPhaseOptions['openLoop']>): Lane | undefined {
    const { lanes } = this.#options;
    if (lanes.length >= maxLanes) return undefined;
    const lane = openLane();
    lanes.push(lane);
    return lane;
  }

  readonly #stopSending = (): void => {
    this.#isOver = true;
    this.#finish();
  };

  readonly #breakOff = (): void => {
    this.#stopSending();
    setTimeout(() => {
      for (const lane of [...this.#busy.keys()]) lane.abort('broken off');
    }, MAX_LAST_ANSWERS_MS).unref();
  };

  readonly #dropLate = (): void => {
    const latest = performance.now() - this.#options.timeoutMs;
    for (const [lane, sentAt] of [...this.#busy]) if (sentAt <= latest) lane.abort('timeout');
  };

  #finish(): void {
    if (!this.#isOver || this.#isDone || this.#busy.size > 0 || this.#paused > 0) return;
    this.#isDone = true;
    clearInterval(this.#sweep);
    clearTimeout(this.#end);
    clearTimeout(this.#tick);
    this.#options.signal.removeEventListener('abort', this.#breakOff);
    const unsent = this.#countUnsent();
    this.#resolve({ sent: this.#sent, elapsedMs: this.#lastAnswerAt - this.#startedAt, unsent });
  }

  #countUnsent(): number {
    const { openLoop, durationMs, requests, signal } = this.#options;
    if (openLoop === undefined || durationMs === Infinity || signal.aborted) return 0;
    let unsent = 0;
    for (; this.#nextDue < durationMs && this.#sent + unsent < requests; this.#nextDue = openLoop.arrivals()) unsent++;
    return unsent;
  }
}

const BREAKS: ReadonlySet<string> = new Set(['connection refused', 'connection lost', 'host not found', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);

function isBreak(failure: string): boolean {
  return BREAKS.has(failure);
}
