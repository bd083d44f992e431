import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { modelDir } from '../support/vectors.ts';

test('process.exit while a model computes ends the process, though Node waits for its pool', async () => {
  const program = fileURLToPath(new URL('engine-exit-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, modelDir('slow-chain')], { stdio: 'inherit' });
  const patience = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(patience);
  expect({ code, signal }).toEqual({ code: 3, signal: null });
});
