import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import type { Tensor } from '../../../../src/core/tensor.ts';
import { engineByName, type EngineSession } from '../../../../src/engine/index.ts';
import { liveHandles } from '../../../../src/engine/native/index.ts';
import { modelBytes } from '../../../support/onnx-bytes.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'kept-tensors-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

async function load(opType: string): Promise<EngineSession> {
  const path = join(scratch, `${opType}.onnx`);
  await writeFile(path, modelBytes({ opType }));
  const engine = await engineByName('onnx');
  return engine.load({ path }, { onnxBinding: 'native', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, SILENT_LOGGER);
}

const vector = (...values: number[]): Tensor => ({ name: 'x', datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) });

async function answer(session: EngineSession, ...values: number[]): Promise<{ shape: readonly number[]; values: number[] }> {
  const [output] = await session.run([vector(...values)], []);
  return { shape: output!.shape, values: Array.from(output!.data as Float32Array) };
}

test('runs of the same sizes one after the other, and of others between them, answer each with its own values', async () => {
  const session = await load('Neg');
  for (let turn = 1; turn <= 20; turn++) {
    expect(await answer(session, turn, 2)).toEqual({ shape: [2], values: [-turn, -2] });
    expect(await answer(session, turn, 3)).toEqual({ shape: [2], values: [-turn, -3] });
    if (turn % 5 === 0) expect(await answer(session, turn, 2, 1)).toEqual({ shape: [3], values: [-turn, -2, -1] });
  }
  await session.dispose();
  expect(liveHandles()).toBe(0);
});

test('answers stay as they are when the next run is over', async () => {
  const session = await load('Neg');
  const outputs: (readonly Tensor[])[] = [];
  for (let turn = 0; turn < 10; turn++) outputs.push(await session.run([vector(turn)], []));
  expect(outputs.map(([output]) => (output!.data as Float32Array)[0])).toEqual([-0, -1, -2, -3, -4, -5, -6, -7, -8, -9]);
  await session.dispose();
});

test('outputs whose sizes depend on the values are right each time', async () => {
  const session = await load('Unique');
  for (let turn = 0; turn < 4; turn++) {
    expect(await answer(session, 1, 1, 2)).toEqual({ shape: [2], values: [1, 2] });
    expect(await answer(session, 1, 1, 2)).toEqual({ shape: [2], values: [1, 2] });
    expect(await answer(session, 1, 2, 3)).toEqual({ shape: [3], values: [1, 2, 3] });
    expect(await answer(session, 5, 5, 5)).toEqual({ shape: [1], values: [5] });
  }
  await session.dispose();
  expect(liveHandles()).toBe(0);
});
