import { describe, expect, test } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import { StopSource, type StopSignal } from '../../../src/core/stop-signal.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { EngineSession } from '../../../src/engine/index.ts';
import { EngineGate } from '../../../src/pipeline/engine-gate.ts';
import { RowRuns, type EngineCall, type RowBatching } from '../../../src/pipeline/row-runs.ts';

/** Doubles its rows when the test lets it; a run with a row of -1 fails. */
class FakeSession implements EngineSession {
  readonly signature = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
  } as const;
  readonly platform = 'fake';
  readonly properties = {};
  readonly isConcurrent = true;
  readonly isCancellable = true;
  /** Shape of each run. */
  readonly runs: string[] = [];
  readonly #ends: (() => void)[] = [];

  async run([x]: readonly Tensor[]): Promise<readonly Tensor[]> {
    const { shape, data } = x!;
    this.runs.push(shape.join('x'));
    await new Promise<void>((resolve) => this.#ends.push(resolve));
    const values = data as Float32Array;
    if (values.includes(-1)) throw new ServingError('model_failed', 'bad row');
    return [{ name: 'y', datatype: 'FP32', shape, data: values.map((value) => 2 * value) }];
  }

  /** Ends the oldest run, and waits until the place has been passed on. */
  async end(): Promise<void> {
    this.#ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }

  async endAll(): Promise<void> {
    while (this.#ends.length > 0) await this.end();
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

function setUp(limit = 1, batching: RowBatching = { mode: 'on', maxBatchSize: 8 }): { session: FakeSession; gate: EngineGate } {
  const session = new FakeSession();
  return { session, gate: new EngineGate(new RowRuns(session, { modelName: 'm', batching, copiesRows: true }, SILENT_LOGGER), limit) };
}

const callOf = (values: readonly number[], rows = 1, signal: StopSignal = new StopSource()): EngineCall => ({
  request: { inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, values.length / rows], data: Float32Array.from(values) }] },
  wanted: [],
  signal,
});

const outcome = (running: Promise<readonly Tensor[]>): Promise<unknown> =>
  running.then(
    ([y]) => [...(y!.data as Float32Array)],
    (error: unknown) => (error as ServingError).reason,
  );

describe('calls of a handler that wait for the engine', () => {
  test('share the next run with the oldest where they have its form, and each gets its own rows', async () => {
    const { session, gate } = setUp();
    const calls = [[1], [2], [3, 3], [4], [5, 5]].map((values) => outcome(gate.run(callOf(values))));
    await session.endAll();
    expect(await Promise.all(calls)).toEqual([[2], [4], [6, 6], [8], [10, 10]]);
    expect(session.runs).toEqual(['1x1', '2x1', '2x2']);
    expect(gate.takeExecutions()).toMatchObject([
      { members: 1, rows: 1 },
      { members: 2, rows: 2 },
      { members: 2, rows: 2 },
    ]);
    expect(gate.takeExecutions()).toEqual([]);
  });

  test('fill a run up to its bound; one that does not fit waits and a smaller one goes along', async () => {
    const { session, gate } = setUp(1, { mode: 'on', maxBatchSize: 4 });
    const calls = [callOf([0]), callOf([1, 1, 1], 3), callOf([2, 2], 2), callOf([3]), callOf([4, 4, 4, 4, 4], 5)].map((call) =>
      outcome(gate.run(call)),
    );
    await session.endAll();
    expect(await Promise.all(calls)).toEqual([[0], [2, 2, 2], [4, 4], [6], [8, 8, 8, 8, 8]]);
    expect(session.runs).toEqual(['1x1', '4x1', '2x1', '5x1']);
  });

  test('leave the queue when their request is gone, and are not computed', async () => {
    const { session, gate } = setUp();
    const stop = new StopSource();
    const calls = [callOf([1]), callOf([2], 1, stop), callOf([3])].map((call) => outcome(gate.run(call)));
    stop.abort('gone');
    expect(await calls[1]).toBe('cancelled');
    await session.endAll();
    expect(await Promise.all(calls)).toEqual([[2], 'cancelled', [6]]);
    expect(session.runs).toEqual(['1x1', '1x1']);
    expect(await outcome(gate.run(callOf([1], 1, stop)))).toBe('cancelled');
  });

  test('fail alone: the place among the runs is passed on, and the others of the run are answered', async () => {
    const { session, gate } = setUp();
    const calls = [[0], [1], [-1], [3]].map((values) => outcome(gate.run(callOf(values))));
    await session.endAll();
    expect(await Promise.all(calls)).toEqual([[0], [2], 'model_failed', [6]]);
    expect(session.runs).toEqual(['1x1', '3x1', '1x1', '1x1', '1x1']);
    const next = outcome(gate.run(callOf([4])));
    await session.endAll();
    expect(await next).toEqual([8]);
  });

  test('run side by side up to the limit, and one by one where rows are not merged', async () => {
    const { session, gate } = setUp(2, { mode: 'off', maxBatchSize: 8 });
    const calls = [[1], [2], [3], [4]].map((values) => outcome(gate.run(callOf(values))));
    expect(session.runs).toHaveLength(2);
    await session.end();
    expect(session.runs).toHaveLength(3);
    await session.endAll();
    expect(await Promise.all(calls)).toEqual([[2], [4], [6], [8]]);
    expect(session.runs).toEqual(['1x1', '1x1', '1x1', '1x1']);
  });

  test('are refused once too many wait: the handler has lost count', async () => {
    const { session, gate } = setUp();
    const calls = Array.from({ length: 4097 }, (_, i) => outcome(gate.run(callOf([i]))));
    expect(await outcome(gate.run(callOf([0])))).toBe('handler_failed');
    await session.endAll();
    expect((await Promise.all(calls)).slice(-1)).toEqual([[8192]]);
  });
});
