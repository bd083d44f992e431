import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { SILENT_LOGGER } from '../../src/core/context.ts';
import { allocateData, type Tensor } from '../../src/core/tensor.ts';
import { engineByName, type EngineSession } from '../../src/engine/index.ts';
import { handleCounts } from '../../src/engine/native/index.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

const ANSWERS = 200_000;
const SETTLED = 20_000;
const AT_ONCE = 16;
/** Answers between two forced collections of young objects, and of everything. */
const MINOR_EVERY = 50;
const MAJOR_EVERY = 2_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { type: 'minor' | 'major' }) => void;

interface Row {
  readonly pixels: Float32Array;
  readonly label: bigint;
  readonly probabilities: Float32Array;
}

/** Rows of the golden vectors whose numbers are finite. */
function readRows(): Row[] {
  return readVectors('digits-mlp').flatMap(({ inputs, outputs }) => {
    const pixels = inputs[0]!.data as Float32Array;
    const labels = outputs.find(({ name }) => name === 'label')!.data as BigInt64Array;
    const probabilities = outputs.find(({ name }) => name === 'probabilities')!.data as Float32Array;
    return Array.from(labels, (label, i) => ({
      pixels: pixels.slice(64 * i, 64 * (i + 1)),
      label,
      probabilities: probabilities.slice(10 * i, 10 * (i + 1)),
    })).filter((row) => row.pixels.every(Number.isFinite));
  });
}

/** A request of 1 to 3 rows in memory that nobody but the run refers to afterwards: freed too early, it is soon written over. */
function freshInput(rows: readonly Row[]): Tensor {
  const data = allocateData('FP32', 64 * rows.length);
  rows.forEach((row, i) => {
    data.set(row.pixels, 64 * i);
  });
  return { name: 'input', datatype: 'FP32', shape: [rows.length, 64], data };
}

function isRight(rows: readonly Row[], outputs: readonly Tensor[]): boolean {
  const labels = outputs[0]!.data as BigInt64Array;
  const probabilities = outputs[1]!.data as Float32Array;
  return rows.every(
    (row, i) => labels[i] === row.label && row.probabilities.every((want, j) => Math.abs(probabilities[10 * i + j]! - want) <= 1e-5 + 1e-5 * want),
  );
}

async function loadDigits(): Promise<EngineSession> {
  const engine = await engineByName('onnx');
  const options = { onnxBinding: 'native', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } as const;
  return engine.load({ path: modelDir('digits-mlp') }, options, SILENT_LOGGER);
}

test('200,000 digits answers, 16 at once under garbage collection, are all right and memory stays flat', async () => {
  const rows = readRows();
  expect(rows.length).toBeGreaterThanOrEqual(20);
  const session = await loadDigits();
  let started = 0;
  let wrong = 0;
  let settledRss = 0;
  const lane = async (): Promise<void> => {
    while (started < ANSWERS) {
      const turn = started++;
      const asked = Array.from({ length: 1 + (turn % 3) }, (_, i) => rows[(turn * 7 + i) % rows.length]!);
      const outputs = await session.run([freshInput(asked)], []);
      if (!isRight(asked, outputs)) wrong++;
      if (turn % MAJOR_EVERY === 0) collect();
      else if (turn % MINOR_EVERY === 0) collect({ type: 'minor' });
      if (turn === SETTLED) settledRss = process.memoryUsage.rss();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  collect();
  const growth = process.memoryUsage.rss() / settledRss;
  await session.dispose();
  const { created, released } = handleCounts();
  expect(wrong).toBe(0);
  expect(growth).toBeLessThan(1.1);
  expect(created).toBeGreaterThan(ANSWERS);
  expect(released).toBe(created);
});
