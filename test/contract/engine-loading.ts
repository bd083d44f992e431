import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineSession } from '../../src/engine/index.ts';
import { modelBytes } from '../support/onnx-bytes.ts';
import { expectAllClose, modelDir, readVectors, tensorOf, tensorValues } from '../support/vectors.ts';
import { expectRefusal } from './engine-refusal.ts';

/** Which files load, which are refused and with what words; part of describeEngine, whose `load` disposes what it loaded. */
export function describeLoading(load: (path: string) => Promise<EngineSession>): void {
  let scratch = '';
  const scratchModel = async (name: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> => {
    const directory = join(scratch, name);
    await mkdir(directory, { recursive: true });
    for (const [file, content] of Object.entries(files)) await writeFile(join(directory, file), content);
    return directory;
  };

  describe('loading', () => {
    beforeAll(async () => {
      scratch = await mkdtemp(join(tmpdir(), 'describe-engine-'));
    });
    afterAll(async () => {
      await rm(scratch, { recursive: true, force: true });
    });

    describe('bad models', () => {
      const refused = async (path: string, pattern: RegExp): Promise<void> => {
        const error = await expectRefusal(load(path), 'model_failed', pattern);
        expect(error.message).toContain(path);
      };
      const digits = (): Promise<Buffer> => readFile(join(modelDir('digits-mlp'), 'model.onnx'));

      test('an absent path', () => refused(join(scratch, 'absent'), /no such file/));
      test('an absent file', () => refused(join(scratch, 'absent.onnx'), /no such file/));
      test('an empty directory', async () => refused(await scratchModel('nothing', {}), /./));
      test('an empty file', async () => refused(await scratchModel('empty', { 'model.onnx': '' }), /empty/));
      test('a Git LFS pointer', async () =>
        refused(
          await scratchModel('lfs', { 'model.onnx': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' }),
          /Git LFS pointer/,
        ));
      test('an HTML page', async () => refused(await scratchModel('html', { 'model.onnx': '<!DOCTYPE html><html></html>' }), /HTML/));
      test('a Python pickle', async () => refused(await scratchModel('pickle', { 'model.onnx': Buffer.from([0x80, 0x02, 0x4b, 1]) }), /pickle/));
      test('random bytes', async () => refused(await scratchModel('random', { 'model.onnx': Buffer.alloc(5000, 0xa7) }), /model\.onnx/));
      test('a file cut short', async () => refused(await scratchModel('cut', { 'model.onnx': (await digits()).subarray(0, 20_000) }), /model\.onnx/));
      test('a file with no graph', async () => refused(await scratchModel('graphless', { 'model.onnx': Buffer.from([8, 8]) }), /no graph/));
      test('an operator set of the future', async () =>
        refused(await scratchModel('opset', { 'model.onnx': modelBytes({ opset: 99 }) }), /opset|99/i));
      test('a file format of the future', async () =>
        refused(await scratchModel('ir', { 'model.onnx': modelBytes({ irVersion: 99 }) }), /IR version|99/i));
      test('an operator that nobody knows', async () =>
        refused(await scratchModel('operator', { 'model.onnx': modelBytes({ opType: 'NoSuchThing' }) }), /NoSuchThing/));
      test('external data that is not there', async () => {
        const model = await readFile(join(modelDir('external-data'), 'model.onnx'));
        await refused(await scratchModel('external', { 'model.onnx': model }), /weights\.bin/);
      });
      test('a broken ORT-format file', async () => refused(await scratchModel('ort', { 'model.ort': Buffer.alloc(100, 1) }), /model\.ort/));
      test('several files and none called model.onnx: the message names them', async () =>
        refused(await scratchModel('several', { 'b.onnx': await digits(), 'a.onnx': await digits() }), /a\.onnx, b\.onnx.*model\.onnx/));
    });

    describe('choice of the file', () => {
      const label = async (session: EngineSession): Promise<unknown> =>
        tensorValues((await session.run(readVectors('digits-mlp')[0]!.inputs, ['label']))[0]!);

      test('model.onnx beside others, the only *.onnx, and a file by its path all load', async () => {
        const bytes = await readFile(join(modelDir('digits-mlp'), 'model.onnx'));
        const beside = await scratchModel('beside', { 'model.onnx': bytes, 'other.onnx': 'junk', 'README.md': 'x' });
        const only = await scratchModel('only', { 'digits.onnx': bytes, 'labels.txt': '0' });
        const want = await label(await load(modelDir('digits-mlp')));
        expect(await label(await load(beside))).toEqual(want);
        expect(await label(await load(only))).toEqual(want);
        expect(await label(await load(join(only, 'digits.onnx')))).toEqual(want);
      });

      test('an ORT-format file loads where there is no *.onnx', async () => {
        const directory = await scratchModel('ort-only', {});
        await copyFile(join(modelDir('ort-format'), 'model.ort'), join(directory, 'net.ort'));
        const session = await load(directory);
        expect(session.properties['file']).toBe('net.ort');
        const [y] = await session.run([tensorOf('x', 'FP32', [2], [1, -2])], []);
        expect(tensorValues(y!)).toEqual([-1, 2]);
      });

      test('external data beside a model given by its path is found', async () => {
        const session = await load(join(modelDir('external-data'), 'model.onnx'));
        const [vector] = readVectors('external-data');
        expectAllClose(await session.run(vector!.inputs, []), vector!.outputs);
      });
    });
  });
}
