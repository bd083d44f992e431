import type { StopSignal } from '../core/stop-signal.ts';
import type { Tensor } from '../core/tensor.ts';
import type { EngineSession } from '../engine/index.ts';
import { mergeRows, splitRows } from './merge-rows.ts';
import { variantOf } from './probe-rows.ts';
import { differenceOf, scalesOf } from './same-rows.ts';

/**
 * Rows of one run at most, or for people why there is no point in more than one request a run. `isOfTheMoment`: the rows are independent and only took too long
 * together, which may be a busy machine's doing.
 */
export type ProbeVerdict = { readonly maxRows: number } | { readonly why: string; readonly isOfTheMoment?: true };

/** Rows that run together in a trial, by number; all of them have run alone before. The last two also tell what merging gains. */
const TRIALS: readonly (readonly number[])[] = [
  [0, 1],
  [2, 0, 1],
  [3, 2, 1, 0],
  [0, 1, 2, 3, 3, 2, 1, 0],
  [3, 1, 0, 2, 1, 3, 2, 0],
];
const ROWS = 4;
const TIMED_ROWS = 8;

/** Rows that all runs of a probe compute together. */
const TOTAL_ROWS = TRIALS.reduce((total, { length }) => total + length, ROWS + 1);

/** A model that would keep the machine busy longer than this is not probed. */
const MOST_MS = 2000;

/** A row in company may take so much of its time alone: what merging spares outside of the engine, and runs that fight for the same processors, tip the scales. */
const PAYS_BELOW = 1.3;
/** The shortest time is the model's own, longer ones are a busy machine's: before merging is given up for its time it gets so many chances more. */
const RETRIES = 4;

/** Runs grow as long as what their fixed part adds to a row is more than this of the row's own time: further rows would only wait for each other. */
const FIXED_PART = 0.05;
const LEAST_ROWS = 4;

/**
 * Tries whether the rows of a model are independent of each other, on `sample` and rows like it: alone, together with others, in another order and number they must
 * give the same answers. Also how many rows a run should have. A signature can tell neither. Rejects with ServingError cancelled only.
 */
export async function probeRows(session: EngineSession, sample: readonly Tensor[], signal: StopSignal): Promise<ProbeVerdict> {
  const run = async (inputs: readonly Tensor[]): Promise<{ readonly outputs: readonly Tensor[]; readonly ms: number }> => {
    const startedAt = performance.now();
    const outputs = await session.run(inputs, [], signal);
    return { outputs, ms: performance.now() - startedAt };
  };
  const rows = Array.from({ length: ROWS }, (_, seed) => variantOf(sample, seed));
  const alone: (readonly Tensor[])[] = [];
  let aloneMs = Infinity;
  try {
    for (const row of [...rows, ...rows.slice(0, 1)]) {
      const { outputs, ms } = await run(row);
      alone.push(outputs);
      aloneMs = Math.min(aloneMs, ms);
      // The first run of a session takes longer than the others.
      if (alone.length > 1 && aloneMs * TOTAL_ROWS > MOST_MS)
        return no(`to try it would take the machine more than ${MOST_MS / 1000} s (a row takes ${Math.round(aloneMs)} ms)`);
    }
    const scales = scalesOf(alone);
    const again = differenceOf(alone[0] ?? [], alone[ROWS] ?? [], scales);
    if (again !== undefined) return no(`the same row has not the same answer twice: ${again}`);
    let mergedMs = Infinity;
    for (const trial of TRIALS) {
      const { outputs, ms } = await run(mergeRows(trial.map((row) => rows[row] ?? [])));
      if (trial.length === TIMED_ROWS) mergedMs = Math.min(mergedMs, ms);
      const parts = splitRows(
        outputs,
        trial.map(() => 1),
        false,
      );
      for (let i = 0; i < trial.length; i++) {
        const difference = differenceOf(alone[trial[i] ?? 0] ?? [], parts[i] ?? [], scales);
        if (difference !== undefined) return no(`rows are not independent: ${difference}`);
      }
    }
    const [eight] = TRIALS.filter(({ length }) => length === TIMED_ROWS).map((trial) => mergeRows(trial.map((row) => rows[row] ?? [])));
    for (let round = 0; round < RETRIES && mergedMs >= PAYS_BELOW * TIMED_ROWS * aloneMs; round++) {
      aloneMs = Math.min(aloneMs, (await run(rows[0] ?? [])).ms);
      mergedMs = Math.min(mergedMs, (await run(eight ?? [])).ms);
    }
    const ratio = mergedMs / TIMED_ROWS / aloneMs;
    if (ratio < PAYS_BELOW) return { maxRows: rowsFor(aloneMs, mergedMs) };
    return { ...no(`it does not pay: a row among ${TIMED_ROWS} takes ${ratio.toFixed(2)} of its time alone`), isOfTheMoment: true };
  } catch (error) {
    if (signal.aborted) throw error;
    return no(error instanceof Error ? error.message : String(error));
  }
}

/** A run of n rows takes fixed + n x each; two sizes tell both. */
function rowsFor(aloneMs: number, mergedMs: number): number {
  const eachMs = Math.max((mergedMs - aloneMs) / (TIMED_ROWS - 1), Number.MIN_VALUE);
  return Math.max(LEAST_ROWS, Math.ceil((aloneMs - eachMs) / (FIXED_PART * eachMs)));
}

function no(why: string): { readonly why: string } {
  return { why };
}
