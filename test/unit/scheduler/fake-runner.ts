import type { Batch, BatchResult, Measurement } from '../../../src/core/batch.ts';
import type { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import type { BatchRunner } from '../../../src/scheduler/index.ts';

const TIMINGS = { preprocessMs: 0, predictMs: 1, postprocessMs: 0 };

/** One run, ended by the test. */
export interface FakeRun {
  readonly batch: Batch;
  answer(measurements?: readonly Measurement[]): void;
  fail(error: ServingError): void;
  /** Breaks the contract: runners never reject. */
  reject(error: Error): void;
  /** Breaks the contract: an answer is missing. */
  answerNobody(): void;
}

export class FakeRunner implements BatchRunner {
  readonly runs: FakeRun[] = [];
  /** As answers have it from now on. */
  maxRows: number | undefined;
  #capacity: number;
  #listener: () => void = () => undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get capacity(): number {
    return this.#capacity;
  }

  set capacity(value: number) {
    this.#capacity = value;
    this.#listener();
  }

  onCapacityChange(listener: () => void): void {
    this.#listener = listener;
  }

  run(batch: Batch): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      this.runs.push({
        batch,
        answer: (measurements) => {
          const responses = batch.members.map(({ request }) => ({ ok: true, value: responseTo(request) }) as const);
          resolve({
            responses,
            timings: TIMINGS,
            ...(this.maxRows === undefined ? {} : { maxRows: this.maxRows }),
            ...(measurements === undefined ? {} : { measurements }),
          });
        },
        fail: (error) => {
          resolve({ responses: batch.members.map(() => ({ ok: false, error })), timings: TIMINGS });
        },
        reject,
        answerNobody: () => {
          resolve({ responses: [], timings: TIMINGS });
        },
      });
    });
  }

  /** The run that began as number `index`. */
  at(index: number): FakeRun {
    const run = this.runs[index];
    if (run === undefined) throw new Error(`expected run ${String(index)}, only ${String(this.runs.length)} have begun`);
    return run;
  }

  /** Ids of all members of each run. */
  batches(): string[] {
    return this.runs.map(({ batch }) => batch.members.map(({ request }) => request.id).join(' '));
  }

  ids(): (string | undefined)[] {
    return this.runs.map(({ batch }) => batch.members[0]?.request.id);
  }
}

export function requestOf(id: string): InferRequest {
  return { modelName: 'm', id, inputs: [] };
}

export function responseTo(request: InferRequest): InferResponse {
  return { modelName: 'm', ...(request.id === undefined ? {} : { id: request.id }), outputs: [] };
}
