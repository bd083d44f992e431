import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import { StopSource, type StopSignal } from '../../../src/core/stop-signal.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { EngineSession } from '../../../src/engine/index.ts';
import { RowRuns, type EngineCall, type RowBatching } from '../../../src/pipeline/row-runs.ts';

/** Doubles its rows; a row of -1 fails the run, and so do more than `most` rows. */
class FakeSession implements EngineSession {
  readonly signature = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
  } as const;
  readonly platform = 'fake';
  readonly properties = {};
  readonly isConcurrent = true;
  readonly isCancellable = true;
  /** Rows of each run. */
  readonly runs: number[] = [];
  most = Infinity;
  outputShape: (shape: readonly number[]) => readonly number[] = (shape) => shape;
  onRun: (signal: StopSignal | undefined) => Promise<void> | undefined = () => undefined;

  async run([x]: readonly Tensor[], _wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]> {
    const { shape, data } = x!;
    this.runs.push(shape[0]!);
    await this.onRun(signal);
    if (signal?.aborted === true) throw new ServingError('cancelled', 'stopped');
    if (shape[0]! > this.most) throw new ServingError('model_failed', 'too many rows');
    const values = data as Float32Array;
    if (values.includes(-1)) throw new ServingError('invalid_request', 'bad row');
    return [{ name: 'y', datatype: 'FP32', shape: this.outputShape(shape), data: values.map((value) => 2 * value) }];
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

const callOf = (values: readonly number[], rows: number, signal: StopSignal = new StopSource()): EngineCall => ({
  request: { inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, rows === 0 ? 1 : values.length / rows], data: Float32Array.from(values) }] },
  wanted: [],
  signal,
});

function setUp(batching: RowBatching = { mode: 'on', maxBatchSize: 8 }): {
  session: FakeSession;
  rows: RowRuns;
  warnings: string[];
  infos: string[];
} {
  const session = new FakeSession();
  const [warnings, infos]: string[][] = [[], []];
  const log: Logger = {
    ...SILENT_LOGGER,
    warn: (fields, message) => warnings!.push(`${message} ${JSON.stringify(fields)}`),
    info: (fields, message) => infos!.push(`${message} ${JSON.stringify(fields)}`),
  };
  return { session, rows: new RowRuns(session, { modelName: 'm', batching, copiesRows: false }, log), warnings: warnings!, infos: infos! };
}

const outcomeOf = ({ answers }: Awaited<ReturnType<RowRuns['run']>>): unknown[] =>
  answers.map((answer) => (answer.ok ? [...(answer.value[0]!.data as Float32Array)] : answer.error.reason));

describe('runs over the rows of several requests', () => {
  test('rows of one shape share a run, other shapes have theirs, and each request gets its own rows', async () => {
    const { session, rows } = setUp();
    const result = await rows.run([callOf([1], 1), callOf([2, 3], 1), callOf([4, 5], 2), callOf([6, 7], 1)]);
    expect(outcomeOf(result)).toEqual([[2], [4, 6], [8, 10], [12, 14]]);
    expect(session.runs).toEqual([3, 2]);
    expect(result.executions).toMatchObject([
      { members: 2, rows: 3 },
      { members: 2, rows: 2 },
    ]);
  });

  test('a run has at most as many rows as it may; a request with more has its own', async () => {
    const { session, rows } = setUp({ mode: 'on', maxBatchSize: 3 });
    expect(outcomeOf(await rows.run([callOf([1, 2], 2), callOf([3, 4, 5, 6, 7], 5), callOf([8, 9], 2), callOf([0], 1)]))).toHaveLength(4);
    expect(session.runs).toEqual([2, 5, 3]);
  });

  test('a bad row fails its own request only: the others run again, alone and once', async () => {
    const { session, rows, warnings } = setUp();
    expect(outcomeOf(await rows.run([callOf([1], 1), callOf([-1], 1), callOf([3], 1)]))).toEqual([[2], 'invalid_request', [6]]);
    expect(session.runs).toEqual([3, 1, 1, 1]);
    expect([rows.maxRows, warnings]).toEqual([8, []]);
  });

  test('when a shared run fails, who had left before it keeps his place: each answer is that of its own request', async () => {
    const { session, rows } = setUp();
    const gone = new StopSource();
    gone.abort('gone');
    expect(outcomeOf(await rows.run([callOf([1], 1, gone), callOf([2], 1), callOf([-1], 1), callOf([4], 1)]))).toEqual([
      'cancelled',
      [4],
      'invalid_request',
      [8],
    ]);
    expect(session.runs).toEqual([3, 1, 1, 1]);
  });

  test('a shared run without enough memory falls back to each request alone, and to fewer rows', async () => {
    const { session, rows, warnings } = setUp();
    session.onRun = () => {
      if (session.runs.at(-1) !== 1) throw new RangeError('Array buffer allocation failed');
      return undefined;
    };
    expect(outcomeOf(await rows.run([1, 2, 3, 4].map((value) => callOf([value], 1))))).toEqual([[2], [4], [6], [8]]);
    expect([rows.maxRows, warnings.length]).toEqual([2, 1]);
  });

  test('a model that refuses rows together but takes each request gets fewer from then on, and one line says so', async () => {
    const { session, rows, warnings } = setUp();
    session.most = 1;
    for (const expected of [2, undefined]) {
      expect(outcomeOf(await rows.run([1, 2, 3, 4].map((value) => callOf([value], 1))))).toEqual([[2], [4], [6], [8]]);
      expect(rows.maxRows).toBe(expected);
    }
    await rows.run([1, 2, 3, 4].map((value) => callOf([value], 1)));
    expect(session.runs.slice(-4)).toEqual([1, 1, 1, 1]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('too many rows');
  });

  test('outputs that have not one row for each request are taken for a refusal', async () => {
    const { session, rows, warnings } = setUp();
    session.outputShape = ([count, width]) => (count === 1 ? [1, width!] : [1, count! * width!]);
    expect(outcomeOf(await rows.run([callOf([1], 1), callOf([2], 1)]))).toEqual([[2], [4]]);
    expect(rows.maxRows).toBeUndefined();
    expect(warnings[0]).toContain('Cannot hand back output');
  });

  test('who leaves is cancelled and its neighbours are answered; the run is stopped when all have left', async () => {
    const { session, rows, warnings } = setUp();
    const [one, two, three] = [new StopSource(), new StopSource(), new StopSource()];
    three.abort('gone');
    session.onRun = () => {
      one.abort('gone');
      return undefined;
    };
    expect(outcomeOf(await rows.run([callOf([1], 1, one), callOf([2], 1, two), callOf([3], 1, three)]))).toEqual(['cancelled', [4], 'cancelled']);
    expect(session.runs).toEqual([2]);
    let wasStopped: boolean | undefined;
    const [four, five] = [new StopSource(), new StopSource()];
    session.onRun = (signal) => {
      four.abort('gone');
      const before = signal?.aborted;
      five.abort('gone');
      const isAborted = (): boolean | undefined => signal?.aborted;
      wasStopped = before === false && isAborted() === true;
      return undefined;
    };
    expect(outcomeOf(await rows.run([callOf([1], 1, four), callOf([2], 1, five)]))).toEqual(['cancelled', 'cancelled']);
    expect([wasStopped, rows.maxRows, warnings]).toEqual([true, 8, []]);
  });

  test('a request of no rows shares a run as any other and gets no rows', async () => {
    const { session, rows } = setUp();
    expect(outcomeOf(await rows.run([callOf([], 0), callOf([1], 1)]))).toEqual([[], [2]]);
    expect(session.runs).toEqual([1]);
  });

  test.each<[RowBatching | undefined]>([[{ mode: 'off', maxBatchSize: 8 }], [{ mode: 'on', maxBatchSize: 1 }], [undefined]])(
    'with batching %o each request has a run of its own and nothing is said',
    async (batching) => {
      const { session, rows, infos } = setUp(batching ?? { mode: 'off', maxBatchSize: 32 });
      await rows.run([callOf([1], 1), callOf([2], 1)]);
      expect([session.runs, rows.maxRows, infos]).toEqual([[1, 1], undefined, []]);
    },
  );

  test('by default the first request has the machine alone, the second brings the sample for the probe', async () => {
    const { session, rows } = setUp({ mode: 'auto', maxBatchSize: 8 });
    await rows.runOne(callOf([1, 2], 1));
    await new Promise((resolve) => setImmediate(resolve));
    expect(session.runs).toEqual([1]);
    const probed = new Promise<void>((resolve) => {
      session.onRun = () => {
        if (session.runs.length === 12) resolve();
        return undefined;
      };
    });
    await rows.runOne(callOf([3, 4], 1));
    expect(session.runs).toEqual([1, 1]);
    await probed;
    expect(session.runs).toEqual([1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 8, 8]);
  });

  describe('a model whose rows took too long together when it was probed', () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['performance'] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    /** Asks alone, and lets a probe that follows end. */
    const ask = async ({ rows }: ReturnType<typeof setUp>, times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await rows.runOne(callOf([1, 2], 1));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await vi.dynamicImportSettled();
      await new Promise((resolve) => setImmediate(resolve));
    };

    test('is probed again, more and more rarely, until they do not', async () => {
      const all = setUp({ mode: 'auto', maxBatchSize: 8 });
      const { session, rows, infos } = all;
      let isBusy = true;
      session.onRun = () => {
        const count = session.runs.at(-1)!;
        vi.advanceTimersByTime(count === 1 ? 1 : isBusy ? 4 * count : 2);
        return undefined;
      };
      const probesAfter = async (requests: number): Promise<number> => {
        const before = session.runs.filter((count) => count === 4).length;
        await ask(all, requests);
        return session.runs.filter((count) => count === 4).length - before;
      };
      expect(await probesAfter(2)).toBe(1);
      expect([rows.maxRows, infos]).toEqual([undefined, [expect.stringContaining('it does not pay')]]);
      expect([await probesAfter(99), await probesAfter(1)]).toEqual([0, 1]);
      isBusy = false;
      expect([await probesAfter(999), rows.maxRows, infos.length]).toEqual([0, undefined, 1]);
      expect([await probesAfter(1), rows.maxRows, infos.length]).toEqual([1, 8, 2]);
    });

    test('is not probed again once it has been unloaded, nor where its rows depend on each other', async () => {
      const dependent = setUp({ mode: 'auto', maxBatchSize: 8 });
      dependent.session.outputShape = ([count = 0, ...rest]) => [count === 1 ? 1 : count + 1, ...rest];
      const gone = setUp({ mode: 'auto', maxBatchSize: 8 });
      gone.session.onRun = () => void vi.advanceTimersByTime(gone.session.runs.at(-1)! ** 2);
      await ask(gone, 2);
      gone.rows.stop();
      for (const each of [dependent, gone]) {
        await ask(each, 2);
        const before = each.session.runs.length;
        await ask(each, 150);
        expect(each.session.runs.length - before).toBe(150);
      }
    });
  });
});
