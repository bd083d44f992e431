import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkModelFile, chooseModelFile } from '../../../../src/engine/onnx/model-file.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'model-file-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

let directories = 0;
async function directoryWith(...names: string[]): Promise<string> {
  const directory = join(scratch, String(directories++));
  await mkdir(directory);
  for (const name of names) await writeFile(join(directory, name), 'x');
  return directory;
}

test.each([
  [['model.onnx', 'a.onnx', 'b.ort'], 'model.onnx'],
  [['net.onnx', 'a.ort', 'b.ort'], 'net.onnx'],
  [['net.ort', 'notes.txt'], 'net.ort'],
  [['.hidden.onnx', 'net.onnx'], 'net.onnx'],
])('of %j, %s is chosen', async (names, chosen) => {
  const directory = await directoryWith(...names);
  expect(await chooseModelFile(directory)).toBe(join(directory, chosen));
});

test('a directory called x.onnx is no model file', async () => {
  const directory = await directoryWith('net.onnx');
  await mkdir(join(directory, 'x.onnx'));
  expect(await chooseModelFile(directory)).toBe(join(directory, 'net.onnx'));
});

test('a link to a file counts', async () => {
  const target = await directoryWith('real.bin');
  const directory = await directoryWith();
  await symlink(join(target, 'real.bin'), join(directory, 'net.onnx'));
  expect(await chooseModelFile(directory)).toBe(join(directory, 'net.onnx'));
});

test('files that are no models, and directories without one, are undefined', async () => {
  const directory = await directoryWith('model.pkl');
  expect(await chooseModelFile(directory)).toBeUndefined();
  expect(await chooseModelFile(join(directory, 'model.pkl'))).toBeUndefined();
});

test('several equally good files: the message names them, at most ten', async () => {
  const directory = await directoryWith(...Array.from({ length: 15 }, (_, i) => `m${String(i).padStart(2, '0')}.onnx`));
  await expect(chooseModelFile(directory)).rejects.toMatchObject({
    reason: 'model_failed',
    message: expect.stringMatching(/found m00\.onnx, .*m09\.onnx, …; keep one/) as string,
  });
});

test('an absent path throws model_failed', async () => {
  await expect(chooseModelFile(join(scratch, 'absent'))).rejects.toMatchObject({
    reason: 'model_failed',
    message: expect.stringContaining('no such file') as string,
  });
});

test('a gzip and a ZIP are told from a model, a plausible file passes', async () => {
  const directory = await directoryWith();
  const file = join(directory, 'm.onnx');
  await writeFile(file, Buffer.from([0x1f, 0x8b, 8, 0]));
  await expect(checkModelFile(file)).rejects.toThrow(/gzip/);
  await writeFile(file, 'PK\u0003\u0004');
  await expect(checkModelFile(file)).rejects.toThrow(/ZIP/);
  await writeFile(file, Buffer.from([8, 8, 0x3a, 0]));
  await expect(checkModelFile(file)).resolves.toBeUndefined();
});
