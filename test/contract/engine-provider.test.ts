import { describe, expect, test } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../src/core/context.ts';
import { engineByName, type EngineOptions, type EngineSession } from '../../src/engine/index.ts';
import { expectAllClose, modelDir, readVectors } from '../support/vectors.ts';
import { expectRefusal } from './engine-refusal.ts';

const load = async (options: Partial<EngineOptions>, log: Logger = SILENT_LOGGER): Promise<EngineSession> => {
  const engine = await engineByName('onnx');
  return engine.load(
    { path: modelDir('digits-mlp') },
    { onnxBinding: 'native', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1, ...options },
    log,
  );
};

describe.each(['native', 'node'] as const)('provider with binding %s', (onnxBinding) => {
  test('auto says which provider was taken, and why when it is cpu', async () => {
    const lines: { fields: object; line: string }[] = [];
    const session = await load({ onnxBinding, provider: 'auto' }, { ...SILENT_LOGGER, info: (fields, line) => lines.push({ fields, line }) });
    const { provider } = session.properties;
    if (provider === 'cpu') {
      expect(lines).toHaveLength(1);
      expect(lines[0]?.line).toContain('cuda');
      expect(lines[0]?.fields).toHaveProperty('reason', expect.stringMatching(/.{10}/));
    } else {
      expect(provider).toBe('cuda');
      expect(lines).toEqual([]);
    }
    await session.dispose();
  });

  test('cuda is taken or refused, never replaced in silence', async () => {
    const session = await load({ onnxBinding, provider: 'cuda' }).catch((thrown: unknown) => thrown);
    if (session instanceof Error) {
      await expectRefusal(Promise.reject(session), 'model_failed', /model\.onnx: .*cuda/i);
      return;
    }
    expect((session as EngineSession).properties['provider']).toBe('cuda');
    await (session as EngineSession).dispose();
  });

  test('several threads inside and between nodes answer the same', async () => {
    const session = await load({ onnxBinding, intraOpThreads: 2, interOpThreads: 2 });
    for (const vector of readVectors('digits-mlp')) expectAllClose(await session.run(vector.inputs, []), vector.outputs);
    await session.dispose();
  });
});
