import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../src/core/context.ts';
import { rowsOf, whyNoRows } from '../../src/core/rows.ts';
import { StopSource } from '../../src/core/stop-signal.ts';
import type { Tensor } from '../../src/core/tensor.ts';
import type { EngineSession } from '../../src/engine/index.ts';
import { onnxEngine } from '../../src/engine/onnx/index.ts';
import { probeRows, type ProbeVerdict } from '../../src/pipeline/row-probe.ts';
import { RowRuns, type EngineCall } from '../../src/pipeline/row-runs.ts';
import { expectAllClose, listOnnxModels, modelDir, readVectors, tensorOf, tensorValues } from '../support/vectors.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/batching');
const BINDINGS = ['native', 'node'] as const;

const sessions: EngineSession[] = [];
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.dispose()));
});

async function load(path: string, onnxBinding: (typeof BINDINGS)[number] = 'native'): Promise<EngineSession> {
  const session = await onnxEngine.load({ path }, { onnxBinding, provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, SILENT_LOGGER);
  sessions.push(session);
  return session;
}

const callOf = (inputs: readonly Tensor[]): EngineCall => ({ request: { inputs }, wanted: [], signal: new StopSource() });
const rowOf = (...values: readonly number[]): Tensor => tensorOf('x', 'FP32', [1, 4], values);
const runsOver = (session: EngineSession, log: Logger = SILENT_LOGGER): RowRuns =>
  new RowRuns(session, { modelName: 'm', batching: { mode: 'on', maxBatchSize: 32 }, copiesRows: false }, log);

/** Too slow in company is a matter of the machine; that rows are not independent is not. */
function isIndependent(verdict: ProbeVerdict): boolean {
  return 'maxRows' in verdict || verdict.why.startsWith('it does not pay');
}

describe.each(BINDINGS)('models whose rows depend on each other, with binding %s', (binding) => {
  test.each(['softmax-rows', 'cumulative', 'batch-norm', 'sequence-first', 'first-row'])('%s is never merged: the probe finds out', async (name) => {
    const session = await load(join(FIXTURES, name), binding);
    expect(whyNoRows(session.signature)).toBeUndefined();
    for (const sample of [rowOf(0.1, -2, 3, 0.5), rowOf(0, 0, 0, 0), rowOf(1, 1, 1, 1)]) {
      expect(await probeRows(session, [sample], new StopSource())).toMatchObject({
        why: expect.stringContaining('rows are not independent: output "y" differs') as string,
      });
    }
  });

  test('two-names is never probed: its signature tells', async () => {
    const { signature } = await load(join(FIXTURES, 'two-names'), binding);
    expect(whyNoRows(signature)).toBe('the first dimension is "batch" in input "x" and "time" in input "z"');
  });
});

describe('models whose rows are independent', () => {
  test.each(listOnnxModels())('%s gives the rows of several requests their own answers in one run', async (name) => {
    const session = await load(modelDir(name));
    if (whyNoRows(session.signature) !== undefined) return;
    const cases = readVectors(name).filter(({ inputs }) => (rowsOf(inputs) ?? 0) > 0 && inputs.length === session.signature.inputs.length);
    const [first] = cases;
    if (first === undefined) return;
    const verdict = await probeRows(session, first.inputs.map(firstRow), new StopSource());
    if (!isIndependent(verdict)) {
      // Position and cache of a decoder are tied to each other in ways that rows made up do not know; it refuses them.
      expect([name, verdict]).toEqual(['gpt-zen', { why: expect.stringContaining('Cannot run the model') as string }]);
      return;
    }
    const twice = [...cases, ...cases];
    const { answers, executions } = await runsOver(session).run(twice.map(({ inputs }) => callOf(inputs)));
    expect(executions.length).toBeLessThan(twice.length);
    twice.forEach(({ outputs }, i) => {
      const answer = answers[i];
      if (answer?.ok !== true) throw new Error(`${name}: request ${String(i)} failed: ${answer?.error.message ?? 'no answer'}`);
      const names = new Set(outputs.map((output) => output.name));
      expectAllClose(
        answer.value.filter((output) => names.has(output.name)),
        outputs,
      );
    });
  });
});

/** As a request of its own. */
function firstRow(tensor: Tensor): Tensor {
  const { name, datatype, shape } = tensor;
  const values = tensorValues(tensor);
  return tensorOf(name, datatype, [1, ...shape.slice(1)], values.slice(0, values.length / (shape[0] ?? 1)));
}

describe('a run that the model refuses', () => {
  const ids = (...values: readonly number[]): Tensor => tensorOf('ids', 'INT64', [values.length], values);

  test('for the sake of one bad row costs that request only', async () => {
    const session = await load(join(FIXTURES, 'picks'));
    const alone = await session.run([ids(3)], []);
    const rows = runsOver(session);
    const { answers } = await rows.run([callOf([ids(3)]), callOf([ids(99)]), callOf([ids(3, 1)])]);
    expect(answers.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(answers[0]).toEqual({ ok: true, value: alone });
    expect(rows.maxRows).toBe(32);
  });

  test('because of its number of rows is done row by row, in smaller runs from then on, and one line says so', async () => {
    const session = await load(join(FIXTURES, 'refuses'));
    const warnings: object[] = [];
    const log: Logger = { ...SILENT_LOGGER, warn: (fields) => warnings.push(fields) };
    const rows = runsOver(session, log);
    const calls = Array.from({ length: 12 }, (_, i) => callOf([rowOf(i, 0, 0, 0)]));
    for (const expected of [12, 2]) {
      const { answers, executions } = await rows.run(calls);
      expect(answers.map((answer) => answer.ok && tensorValues(answer.value[0]!)[0])).toEqual(calls.map((_, i) => i));
      expect(executions).toHaveLength(expected);
    }
    expect([rows.maxRows, warnings]).toEqual([6, [expect.objectContaining({ rows: 12 })]]);
  });
});
