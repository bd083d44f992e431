import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MAIN } from '../support/server.ts';
import { modelDir } from '../support/vectors.ts';

function run(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: process.env['PATH'] },
  });
  return { code: status, stdout, stderr };
}

const scratch = mkdtempSync(join(tmpdir(), 'kserve-node-cli-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

describe('kserve-node', () => {
  it('prints its version and its verbs', () => {
    expect(run('--version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^(kserve-node )?\d+\.\d+\.\d+\n$/) as string });
    const help = run('--help');
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/serve[\s\S]*inspect/);
  });

  it('names the verb that was meant', () => {
    const { code, stderr } = run('sevre');
    expect(code).toBe(2);
    expect(stderr).toContain('serve');
  });
});

describe('kserve-node serve', () => {
  it('reports every problem at once and exits with 2', () => {
    const { code, stderr } = run('serve', '--http_prot=1', '--grpc_port=99999', '--isolation=thread', '--max_json_depth=-1');
    expect(code).toBe(2);
    for (const part of ['http_prot', 'http_port', 'grpc_port', 'isolation', 'max_json_depth', 'model_dir']) expect(stderr).toContain(part);
  });

  it.each([
    ['a directory that does not exist', '/nowhere/model', /\/nowhere\/model/],
    ['a directory without a model', scratch, /kserve-node-cli-/],
  ])('names %s in one line and exits with 2', (_name, dir, message) => {
    const { code, stdout, stderr } = run('serve', `--model_dir=${dir}`, '--http_port=0', '--grpc_port=0');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(message)]);
  });

  it('names a corrupt model in one line and exits with 2', () => {
    const file = join(scratch, 'model.onnx');
    writeFileSync(file, 'this is no model at all');
    const { code, stdout, stderr } = run('serve', `--model_dir=${scratch}`, '--http_port=0', '--grpc_port=0');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(file)]);
    rmSync(file);
  });
});

describe('kserve-node inspect', () => {
  it('tells what a model takes and gives', () => {
    const { code, stdout } = run('inspect', modelDir('digits-mlp'));
    expect(code).toBe(0);
    for (const part of ['input', 'FP32', '64', 'label', 'INT64', 'probabilities', '17', 'curl']) expect(stdout).toContain(part);
  });

  it('prints JSON on request', () => {
    const { code, stdout } = run('inspect', modelDir('digits-mlp'), '--json');
    expect(code).toBe(0);
    const parsed = JSON.parse(stdout) as { inputs: unknown[] };
    expect(parsed.inputs).toMatchObject([{ name: 'input', datatype: 'FP32', shape: [-1, 64] }]);
  });

  it('names a directory without a model and exits with 1', () => {
    const { code, stderr } = run('inspect', scratch);
    expect(code).toBe(1);
    expect(stderr).toContain(scratch);
  });
});
