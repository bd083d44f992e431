import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runTypes } from '../../../src/cli/types.ts';
import { FakeHost } from './fake-host.ts';

const MODELS = resolve(import.meta.dirname, '../../fixtures/models');

async function types(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new FakeHost();
  const code = await runTypes(args, host);
  return { code, out: host.out, err: host.err };
}

describe('runTypes', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'types-'));
  });

  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('writes the inputs and outputs of a model, twice the same', async () => {
    const out = join(dir, 'deep/digits.d.ts');
    const first = await types(join(MODELS, 'digits-mlp'), '--out', out);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain("import type { DigitsMlp } from './digits.d.ts';");
    const text = readFileSync(out, 'utf8');
    expect(text).toContain('/** FP32 [batch, 64] */');
    expect(text).toContain("readonly input: { readonly datatype: 'FP32'; readonly shape: readonly [number, 64] };");
    expect(text).toContain("readonly label: { readonly datatype: 'INT64'; readonly shape: readonly [number] };");
    expect(await types(join(MODELS, 'digits-mlp'), '--out', out)).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(text);
  });

  it('takes the newest of several versions', async () => {
    const model = join(dir, 'numbers');
    for (const [version, source] of [
      ['2', 'sklearn-regression'],
      ['10', 'digits-mlp'],
    ] as const) {
      mkdirSync(join(model, version), { recursive: true });
      cpSync(join(MODELS, source, 'model.onnx'), join(model, version, 'model.onnx'));
    }
    const { code, out } = await types(model, '--out', '-');
    expect(code).toBe(0);
    expect(out).toContain('export interface Numbers {');
    expect(out).toContain('readonly [number, 64]');
    expect((await types(join(model, '10'), '--out', '-')).out).toBe(out);
  });

  it('refuses several models and names them', async () => {
    for (const name of ['b', 'a']) {
      mkdirSync(join(dir, name));
      cpSync(join(MODELS, 'digits-mlp/model.onnx'), join(dir, name, 'model.onnx'));
    }
    const { code, out, err } = await types(dir, '--out', '-');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toBe(`Cannot write types for ${dir}: it holds several models (a, b), name one of their directories\n`);
  });

  it('never replaces a file that it did not write', async () => {
    const out = join(dir, 'mine.d.ts');
    writeFileSync(out, 'export type Mine = 1;\n');
    const { code, err } = await types(join(MODELS, 'digits-mlp'), '--out', out);
    expect(code).toBe(1);
    expect(err).toMatch(/^Cannot write .*mine\.d\.ts: a file is there that this command did not write, choose another --out\n$/);
    expect(readFileSync(out, 'utf8')).toBe('export type Mine = 1;\n');
  });

  it('says in one line why there are no types, with code 1', async () => {
    for (const path of [dir, join(dir, 'absent')]) {
      const { code, out, err } = await types(path, '--out', '-');
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^Cannot .+\n$/);
    }
  });

  it.each([
    [[], 'expected one directory or file, got 0: write kserve-node types DIR [--out FILE]\n'],
    [
      ['a', '--uot', 'b.d.ts'],
      'unknown flag --uot, did you mean --out?\nexpected one directory or file, got 2: write kserve-node types DIR [--out FILE]\n',
    ],
    [['a', '--out'], '--out needs a value: write kserve-node types DIR [--out FILE]\n'],
    [['a', '--out=x.d.ts', '--out=y.d.ts'], '--out is given twice\n'],
    [['a', '--out=x.ts'], '--out takes a name that ends in .d.ts, got x.ts\n'],
  ])('refuses %j with code 2', async (args, err) => {
    expect(await types(...args)).toEqual({ code: 2, out: '', err });
  });
});
