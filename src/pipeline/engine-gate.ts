import type { Execution } from '../core/batch.ts';
import { ServingError } from '../core/errors.ts';
import { formOf, rowsOf } from '../core/rows.ts';
import type { Tensor } from '../core/tensor.ts';
import { handlerFailed } from '../handler/index.ts';
import type { EngineAnswer, EngineCall, RowRuns } from './row-runs.ts';

/** Calls of `next` that may wait; a handler that starts more at once has lost count. */
const MOST_WAITING = 4096;

/** Executions that nobody has asked for yet; the oldest are forgotten. */
const MOST_EXECUTIONS = 1024;

interface Waiting {
  readonly call: EngineCall;
  readonly settle: (answer: EngineAnswer) => void;
  readonly leave: () => void;
  /** Worked out when first looked at. */
  form: string | undefined;
}

/**
 * Lets `limit` runs of the engine go on at once. Calls that come meanwhile wait, first come first served, and those of one form share the next run where the model's
 * rows are independent: user code makes shapes, so that only here they are known. Calls whose request is gone leave the queue.
 */
export class EngineGate {
  readonly #rows: RowRuns;
  readonly #limit: number;
  readonly #waiting: Waiting[] = [];
  readonly #executions: Execution[] = [];
  #running = 0;

  constructor(rows: RowRuns, limit: number) {
    this.#rows = rows;
    this.#limit = limit;
  }

  /** Rejects with ServingError: what the engine fails with, cancelled when the call's signal aborts before its turn, handler_failed when too many wait. */
  async run(call: EngineCall): Promise<readonly Tensor[]> {
    if (call.signal.aborted) throw cancelled();
    if (this.#running < this.#limit) {
      this.#running++;
      return valueOf(await this.#runOne(call));
    }
    return valueOf(await this.#wait(call));
  }

  /** Runs that have ended since the last call. */
  takeExecutions(): readonly Execution[] {
    return this.#executions.splice(0);
  }

  async #runOne(call: EngineCall): Promise<EngineAnswer> {
    const startedAt = performance.now();
    const answer = await this.#rows.runOne(call);
    if (answer.ok) this.#record([{ members: 1, rows: this.#rows.countRows(call), inputMs: 0, inferMs: performance.now() - startedAt, outputMs: 0 }]);
    this.#passOn();
    return answer;
  }

  #wait(call: EngineCall): Promise<EngineAnswer> {
    if (this.#waiting.length >= MOST_WAITING) {
      return Promise.reject(
        handlerFailed(`next was called more than ${MOST_WAITING} times before the model could run; await some of the calls first`),
      );
    }
    return new Promise((settle, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(cancelled());
      };
      const waiting: Waiting = {
        call,
        settle,
        form: undefined,
        leave: () => {
          call.signal.removeEventListener('abort', onAbort);
        },
      };
      this.#waiting.push(waiting);
      call.signal.addEventListener('abort', onAbort);
    });
  }

  /** The place goes to the next in line and its company, or becomes free. */
  #passOn(): void {
    const next = this.#takeNext();
    const [first] = next;
    if (first === undefined) {
      this.#running--;
      return;
    }
    if (next.length === 1) void this.#runOne(first.call).then(first.settle);
    else void this.#runTogether(next);
  }

  async #runTogether(group: readonly Waiting[]): Promise<void> {
    const { answers, executions } = await this.#rows.run(group.map(({ call }) => call));
    this.#record(executions);
    group.forEach(({ settle }, i) => {
      const answer = answers[i];
      if (answer !== undefined) settle(answer);
    });
    this.#passOn();
  }

  /** The oldest, and those of its form as long as their rows fit into one run. They have left the queue. */
  #takeNext(): readonly Waiting[] {
    const first = this.#waiting.shift();
    if (first === undefined) return [];
    first.leave();
    const { maxRows } = this.#rows;
    let rows = rowsOf(first.call.request.inputs);
    const taken = [first];
    if (maxRows === undefined || rows === undefined || this.#waiting.length === 0) return taken;
    const form = first.form ?? formOf(first.call.request);
    for (let i = 0; i < this.#waiting.length && rows < maxRows;) {
      const other = this.#waiting[i];
      const more = other === undefined ? undefined : rowsOf(other.call.request.inputs);
      if (other === undefined || more === undefined || rows + more > maxRows || (other.form ??= formOf(other.call.request)) !== form) {
        i++;
        continue;
      }
      other.leave();
      this.#waiting.splice(i, 1);
      taken.push(other);
      rows += more;
    }
    return taken;
  }

  #record(executions: readonly Execution[]): void {
    for (const execution of executions) this.#executions.push(execution);
    if (this.#executions.length > MOST_EXECUTIONS) this.#executions.splice(0, this.#executions.length - MOST_EXECUTIONS);
  }
}

function valueOf(answer: EngineAnswer): readonly Tensor[] {
  if (answer.ok) return answer.value;
  throw answer.error;
}

function cancelled(): ServingError {
  return new ServingError('cancelled', 'Cancelled before the model ran');
}
