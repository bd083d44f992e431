import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { modelDir } from '../support/vectors.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kserve-node-home-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

test.each(['native', 'node'])('binding %s loads a model without a trace below HOME', (binding) => {
  const program = join(import.meta.dirname, 'engine-telemetry-child.ts');
  // No CI here: ONNX Runtime keeps quiet by itself where that is set.
  const env = { PATH: process.env['PATH'], HOME: home };
  const run = spawnSync(process.execPath, ['--import', 'tsx', program, modelDir('digits-mlp'), binding], { env, encoding: 'utf8' });
  expect([run.status, run.stdout, run.stderr]).toEqual([0, `loaded with ${binding}\n`, '']);
  expect(readdirSync(home)).toEqual([]);
});
