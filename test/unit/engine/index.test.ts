import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { detectEngine, engineByName } from '../../../src/engine/index.ts';
import { modelDir } from '../../support/vectors.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'engine-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

test('a directory and a file of ONNX are told', async () => {
  expect((await detectEngine({ path: modelDir('digits-mlp') })).name).toBe('onnx');
  expect((await detectEngine({ path: join(modelDir('digits-mlp'), 'model.onnx') })).name).toBe('onnx');
});

test.each([
  ['model.joblib', /model\.joblib is a Python pickle/],
  ['model.pkl', /pickle/],
  ['model.pt', /PyTorch/],
  ['model.H5', /Keras/],
  ['saved_model.pb', /TensorFlow SavedModel/],
  ['model.tflite', /TensorFlow Lite/],
  ['weights.safetensors', /weights of a language model/],
  ['readme.txt', /found readme\.txt/],
])('%s is named for what it is, with what is served', async (name, pattern) => {
  const directory = join(scratch, name.replace('.', '-'));
  await mkdir(directory);
  await writeFile(join(directory, name), 'x');
  for (const path of [directory, join(directory, name)]) {
    const failure = expect(detectEngine({ path })).rejects;
    await failure.toMatchObject({ reason: 'model_failed', message: expect.stringMatching(pattern) as string });
    await expect(detectEngine({ path })).rejects.toThrow(/serves ONNX/);
    await expect(detectEngine({ path })).rejects.toThrow(path);
  }
});

test('an empty directory and an absent path are refused by name', async () => {
  const directory = join(scratch, 'nothing');
  await mkdir(directory);
  await expect(detectEngine({ path: directory })).rejects.toThrow(/the directory is empty/);
  await expect(detectEngine({ path: join(scratch, 'absent') })).rejects.toThrow(/no such file/);
});

test('an engine is found by name, an unknown one or a property of objects is not', async () => {
  expect((await engineByName('onnx')).name).toBe('onnx');
  await expect(engineByName('caffe')).rejects.toThrow(/"caffe": this build has onnx/);
  await expect(engineByName('toString')).rejects.toThrow(/toString/);
});
