import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runInspect } from '../../../src/cli/inspect.ts';
import { FakeHost } from './fake-host.ts';

const MODEL = resolve(import.meta.dirname, '../../fixtures/models/digits-mlp/model.onnx');

async function inspect(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new FakeHost();
  const code = await runInspect(args, host);
  return { code, out: host.out, err: host.err };
}

describe('runInspect', () => {
  let dir: string;

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'inspect-'));
  });

  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('says as JSON what the model takes and gives, with a sample request', async () => {
    const { code, out, err } = await inspect(MODEL, '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({
      path: MODEL,
      platform: 'onnx_onnxv1',
      files: 1,
      size_bytes: expect.any(Number) as unknown,
      properties: { opset: '17' },
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 64], dimensionNames: ['batch', null] }],
      outputs: [
        { name: 'label', datatype: 'INT64' },
        { name: 'probabilities', datatype: 'FP32' },
      ],
      sample_request: { inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: new Array(64).fill(0) }] },
      curl: expect.stringMatching(/^curl -s http:\/\/localhost:8080\/v2\/models\/model\/infer /) as unknown,
    });
  });

  it('says the same for people', async () => {
    const { code, out } = await inspect(MODEL);
    expect(code).toBe(0);
    expect(out).toMatch(/^format +onnx_onnxv1$/m);
    expect(out).toMatch(/^opset +17$/m);
    expect(out).toMatch(/^size +[\d.]+ KiB in 1 file$/m);
    expect(out).toMatch(/^Inputs\n {2}input {2}FP32 +\[batch,64\]$/m);
    expect(out).toMatch(/^Outputs\n {2}label +INT64 +\[batch\]\n {2}probabilities +FP32 +\[batch,10\]$/m);
    expect(out).toContain(`kserve-node serve --model_dir=${MODEL}`);
    expect(out).toMatch(/^ {2}curl -s /m);
  });

  it('says in one line why a model cannot be loaded, with code 1', async () => {
    writeFileSync(join(dir, 'model.onnx'), 'no model');
    for (const path of [dir, join(dir, 'absent')]) {
      const { code, out, err } = await inspect(path);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^Cannot .+\n$/);
    }
  });

  it.each([
    [[], 'expected one directory or file, got 0: write kserve-node inspect DIR\n'],
    [['a', 'b'], 'expected one directory or file, got 2: write kserve-node inspect DIR\n'],
    [['a', '--jsno'], 'unknown flag --jsno, did you mean --json?\n'],
    [
      ['--josn', '-x'],
      'unknown flag --josn, did you mean --json?\nunknown flag -x\nexpected one directory or file, got 0: write kserve-node inspect DIR\n',
    ],
  ])('refuses %j with code 2', async (args, err) => {
    expect(await inspect(...args)).toEqual({ code: 2, out: '', err });
  });
});
