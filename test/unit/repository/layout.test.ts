import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLayout, readRepositoryModel, type Layout } from '../../../src/repository/layout.ts';
import { addFiles, collectingLogger, detect, makeFiles } from './model-files.ts';

async function read(modelDir: string, modelName?: string, lines: string[] = []): Promise<Layout> {
  return await readLayout(modelName, { modelDir, detect, log: collectingLogger(lines) });
}

/** `name: version=path …`, paths relative to the root. */
const summary = (root: string, layout: Layout): string[] =>
  layout.models.map(({ name, versions }) => `${name}: ${versions.map(({ version, path }) => `${version}=${path.slice(root.length + 1)}`).join(' ')}`);

describe('readLayout', () => {
  it('takes a directory with a model file for a single model of version 1', async () => {
    const root = makeFiles('model.onnx', 'labels.txt');
    const layout = await read(root, 'digits');
    expect([layout.kind, summary(root, layout)]).toEqual(['single', ['digits: 1=']]);
  });

  it('takes a file for a single model', async () => {
    const root = makeFiles('net.onnx');
    const layout = await read(join(root, 'net.onnx'));
    expect(layout).toEqual({
      kind: 'single',
      models: [{ name: 'model', path: join(root, 'net.onnx'), versions: [{ version: '1', path: join(root, 'net.onnx') }] }],
    });
  });

  it('takes numbered directories for versions of a single model, highest first, by number and not by text', async () => {
    const root = makeFiles('2/model.onnx', '10/model.onnx', '0001/model.onnx', '3/readme.txt', 'config.pbtxt');
    const layout = await read(root);
    expect([layout.kind, summary(root, layout)]).toEqual(['single', ['model: 10=10 2=2 1=0001']]);
  });

  it('skips a second directory of the same version with a warning', async () => {
    const lines: string[] = [];
    const root = makeFiles('01/model.onnx', '1/model.onnx');
    expect(summary(root, await read(root, undefined, lines))).toEqual(['model: 1=01']);
    expect(lines).toEqual(['Skipped a second directory of the same version']);
  });

  it('takes sub-directories for models named by them, with and without versions, sorted, and ignores the model name', async () => {
    const root = makeFiles('iris/2/model.onnx', 'iris/1/model.onnx', 'digits/model.onnx', 'notes.txt');
    const layout = await read(root, 'isvc');
    expect([layout.kind, summary(root, layout)]).toEqual(['repository', ['digits: 1=digits', 'iris: 2=iris/2 1=iris/1']]);
  });

  it('gives the only model of a repository the model name, when there is one', async () => {
    const root = makeFiles('digits/1/model.onnx');
    expect(summary(root, await read(root, 'isvc'))).toEqual(['isvc: 1=digits/1']);
    expect(summary(root, await read(root))).toEqual(['digits: 1=digits/1']);
  });

  it('takes numbered directories beside a named model for models of a repository', async () => {
    const root = makeFiles('1/model.onnx', 'digits/model.onnx');
    expect(summary(root, await read(root))).toEqual(['1: 1=1', 'digits: 1=digits']);
  });

  it('skips hidden directories and follows the links of a mounted ConfigMap', async () => {
    const lines: string[] = [];
    const root = makeFiles(
      '..2024_01_02/digits/model.onnx',
      '..data -> ..2024_01_02',
      'digits -> ..data/digits',
      '.cache/model.onnx',
      'iris/model.onnx',
    );
    expect(summary(root, await read(root, undefined, lines))).toEqual(['digits: 1=digits', 'iris: 1=iris']);
    expect(lines).toEqual([]);
  });

  it('skips links that lead outside or nowhere, and directories without a model, with a warning', async () => {
    const lines: string[] = [];
    const outside = makeFiles('secret/model.onnx', 'versions/7/model.onnx');
    const root = makeFiles(
      'a/model.onnx',
      'b/1/model.onnx',
      `c -> ${outside}/secret`,
      'd -> missing',
      'e -> ..',
      'empty/',
      `b/9 -> ${outside}/versions/7`,
    );
    expect(summary(root, await read(root, undefined, lines))).toEqual(['a: 1=a', 'b: 1=b/1']);
    expect([...new Set(lines)].sort()).toEqual([
      'Skipped a directory without a model',
      'Skipped a symbolic link that leads nowhere',
      'Skipped a symbolic link that leads outside of the model directory',
    ]);
  });

  it('skips a directory whose name cannot be in a URL as one segment', async () => {
    const lines: string[] = [];
    const root = makeFiles('a/model.onnx', 'back\\slash/model.onnx', 'bell\u0007/model.onnx');
    expect(summary(root, await read(root, undefined, lines))).toEqual(['a: 1=a']);
    expect(lines).toHaveLength(2);
  });

  it('refuses an absent directory in one line that names it', async () => {
    await expect(read('/nowhere/models')).rejects.toMatchObject({
      reason: 'model_not_found',
      message: 'Cannot read model directory /nowhere/models (--model_dir): no such directory or file',
    });
  });

  it('refuses a directory without any model with what the engines say', async () => {
    const root = makeFiles('notes.txt', 'empty/');
    await expect(read(root)).rejects.toMatchObject({ reason: 'model_failed', message: `Cannot load model ${root}: nothing there` });
  });
});

describe('readRepositoryModel', () => {
  it('finds a sub-directory that appeared later', async () => {
    const root = makeFiles('a/model.onnx');
    addFiles(root, 'b/3/model.onnx');
    const reader = { modelDir: root, detect, log: collectingLogger([]) };
    expect(await readRepositoryModel('b', reader)).toEqual({
      name: 'b',
      path: join(root, 'b'),
      versions: [{ version: '3', path: join(root, 'b/3') }],
    });
  });

  it.each(['..', '.', '', '../a', 'a/1', 'a\\b', '.cache', 'a\0', '__proto__', 'a'.repeat(256), 'link'])(
    'finds nothing under the name %j',
    async (name) => {
      const outside = makeFiles('model.onnx');
      const root = makeFiles('a/1/model.onnx', '.cache/model.onnx', `link -> ${outside}`);
      expect(await readRepositoryModel(name, { modelDir: root, detect, log: collectingLogger([]) })).toBeUndefined();
    },
  );
});
