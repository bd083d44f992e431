import { afterEach, expect, test, vi } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../../../src/core/context.ts';
import type { Engine, EngineOptions } from '../../../../src/engine/index.ts';
import { modelDir } from '../../../support/vectors.ts';

vi.mock('../../../../src/engine/native/koffi.ts', () => {
  throw new Error('no build for this platform');
});

const OPTIONS: EngineOptions = { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 };
const SOURCE = { path: modelDir('digits-mlp') };

async function freshEngine(): Promise<Engine> {
  const { engineByName } = await import('../../../../src/engine/index.ts');
  return engineByName('onnx');
}

afterEach(() => {
  vi.resetModules();
});

test('auto without koffi runs with binding node and says so once', async () => {
  const engine = await freshEngine();
  const lines: string[] = [];
  const log: Logger = { ...SILENT_LOGGER, warn: (_fields, line) => lines.push(line) };
  for (let i = 0; i < 2; i++) {
    const session = await engine.load(SOURCE, OPTIONS, log);
    expect(session.properties['binding']).toBe('node');
    await session.dispose();
  }
  expect(lines).toEqual([expect.stringContaining('binding node')]);
});

test('native without koffi refuses with the reason', async () => {
  const engine = await freshEngine();
  await expect(engine.load(SOURCE, { ...OPTIONS, onnxBinding: 'native' }, SILENT_LOGGER)).rejects.toMatchObject({
    reason: 'model_failed',
    message: expect.stringContaining('binding native') as string,
  });
});
