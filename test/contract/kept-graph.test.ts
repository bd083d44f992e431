import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../src/core/context.ts';
import { isBytesData, type Tensor } from '../../src/core/tensor.ts';
import { engineByName, type EngineOptions, type EngineSession } from '../../src/engine/index.ts';
import { readManifest, writeManifest } from '../../src/storage/cache/manifest.ts';
import { message, vectorInfo } from '../support/onnx-bytes.ts';
import { until } from '../support/until.ts';
import { listOnnxModels, modelDir, readVectors } from '../support/vectors.ts';

let root = '';
let cacheDir = '';
let lines: { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
const sessions: EngineSession[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kserve-node-graph-'));
  cacheDir = join(root, 'cache');
  lines = [];
});
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.dispose()));
  rmSync(root, { recursive: true, force: true });
});

const record =
  (level: string) =>
  (fields: object, message: string): void => {
    lines.push({ level, message, fields: { ...fields } });
  };
const log: Logger = {
  debug: record('debug'),
  info: record('info'),
  warn: record('warn'),
  error: record('error'),
  child: () => log,
};
const told = (message: string): number => lines.filter((line) => line.message === message).length;
const KEPT = 'Optimised graph kept';

async function load(path: string, more: Partial<EngineOptions> = {}, maxBytes = 0): Promise<EngineSession> {
  const graphCache = { dir: cacheDir, maxBytes, worthMs: 0, makeAfterMs: 0, minFileBytes: 0 };
  const options: EngineOptions = { onnxBinding: 'native', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1, graphCache, ...more };
  const session = await (await engineByName('onnx')).load({ path }, options, log);
  sessions.push(session);
  return session;
}

/** Loads a model and waits until its graph is kept. */
async function loadAndKeep(path: string): Promise<EngineSession> {
  const before = told(KEPT);
  const session = await load(path);
  expect(session.properties['graph']).toBeUndefined();
  await until(() => told(KEPT) > before);
  return session;
}

const isKept = (session: EngineSession): boolean => session.properties['graph'] === 'kept';

function copyOf(model: string): string {
  const dir = mkdtempSync(join(root, 'model-'));
  for (const name of readdirSync(modelDir(model))) copyFileSync(join(modelDir(model), name), join(dir, name));
  return dir;
}

/** Files of the only entry. */
function entry(): string {
  const entries = join(cacheDir, `kserve-node-${process.getuid?.() ?? 0}`, 'entries');
  const [only = '', ...others] = readdirSync(entries);
  expect(others).toEqual([]);
  return join(entries, only, 'files');
}

const bits = (tensors: readonly Tensor[]): unknown =>
  tensors.map(({ data, ...rest }) => ({
    ...rest,
    data: isBytesData(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
  }));

describe('kept graphs', () => {
  it.each(listOnnxModels())('%s answers with the same bits', async (model) => {
    const original = await loadAndKeep(modelDir(model));
    const kept = await load(modelDir(model));
    expect(isKept(kept)).toBe(true);
    expect(kept.signature).toEqual(original.signature);
    for (const { inputs } of readVectors(model)) expect(bits(await kept.run(inputs, []))).toEqual(bits(await original.run(inputs, [])));
  });

  it('is the same whatever the number of threads', async () => {
    const graphs: Buffer[] = [];
    for (const intraOpThreads of [1, 2]) {
      await load(modelDir('convnet'), { intraOpThreads });
      await until(() => told(KEPT) > 0);
      graphs.push(readFileSync(join(entry(), 'model.onnx')), readFileSync(join(entry(), 'weights.bin')));
      rmSync(cacheDir, { recursive: true });
      lines = [];
    }
    expect(graphs[2]?.equals(graphs[0] ?? Buffer.alloc(0))).toBe(true);
    expect(graphs[3]?.equals(graphs[1] ?? Buffer.alloc(0))).toBe(true);
  });

  it('serves the same content in another folder, and not other content of the same size', async () => {
    const dir = copyOf('convnet');
    await loadAndKeep(dir);
    const copy = join(root, 'copy');
    cpSync(dir, copy, { recursive: true });
    expect(isKept(await load(copy))).toBe(true);
    const file = join(copy, 'model.onnx');
    const bytes = readFileSync(file);
    // A weight, far behind the graph's nodes.
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const { atime, mtime } = statSync(file);
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    expect(isKept(await load(copy))).toBe(false);
  });

  it.runIf(existsSync('/proc/self/maps'))('maps large weights outside of the model, and those of its graph, instead of copying them', async () => {
    const mapped = (): string[] =>
      readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .filter((line) => line.includes(`${root}/`));
    const dir = mkdtempSync(join(root, 'model-'));
    writeFileSync(join(dir, 'model.onnx'), outsideWeights('outside.bin', ELEMENTS));
    writeFileSync(join(dir, 'outside.bin'), Buffer.from(new Float32Array(ELEMENTS).fill(2).buffer));
    const original = await loadAndKeep(dir);
    expect(mapped().some((line) => line.endsWith(join(dir, 'outside.bin')))).toBe(true);
    const input: Tensor = { name: 'x', datatype: 'FP32', shape: [1], data: Float32Array.of(3) };
    const [answer] = await original.run([input], []);
    expect(answer?.data).toEqual(new Float32Array(ELEMENTS).fill(5));
    await original.dispose();
    expect(mapped()).toEqual([]);
    expect(isKept(await load(dir))).toBe(true);
    expect(mapped().some((line) => line.endsWith('files/weights.bin'))).toBe(true);
  });

  const damages: readonly (readonly [string, string, (file: string) => void])[] = [
    ['a changed graph', 'model.onnx', changeByte],
    ['truncated weights', 'weights.bin', truncateSync],
    ['changed weights', 'weights.bin', changeByte],
    ['a missing file', 'weights.bin', rmSync],
    ['facts that break off', 'graph.json', truncateToHalf],
  ];
  it.each(damages)('%s is not used, said once, and made anew', async (_, name, damage) => {
    await (await loadAndKeep(modelDir('convnet'))).dispose();
    damage(join(entry(), name));
    lines = [];
    expect(isKept(await loadAndKeep(modelDir('convnet')))).toBe(false);
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect(isKept(await load(modelDir('convnet')))).toBe(true);
  });

  it('a graph that the library refuses is removed and the model itself is loaded', async () => {
    await loadAndKeep(modelDir('convnet'));
    const files = entry();
    const facts = JSON.parse(readFileSync(join(files, 'graph.json'), 'utf8')) as object;
    const graph = Buffer.from('no graph');
    replace(join(files, 'model.onnx'), graph);
    replace(join(files, 'graph.json'), JSON.stringify({ ...facts, graph: createHash('sha256').update(graph).digest('hex') }));
    const dir = join(files, '..');
    await writeManifest(dir, (await readManifest(dir)) ?? expect.unreachable('an entry without a manifest'));
    expect(isKept(await load(modelDir('convnet')))).toBe(false);
    expect(told('A kept graph is removed: the model itself is loaded')).toBe(1);
  });

  it('leaves alone what the bound of the cache has no room for', async () => {
    await load(modelDir('convnet'), {}, 1000);
    await until(() => told('The optimised graph is not kept: it does not fit into the cache') === 1);
    expect(isKept(await load(modelDir('convnet'), {}, 1000))).toBe(false);
  });

  it('leaves a model alone that is unloaded before its graph is made', async () => {
    const graphCache = { dir: cacheDir, maxBytes: 0, worthMs: 0, makeAfterMs: 60_000, minFileBytes: 0 };
    const session = await load(modelDir('convnet'), { graphCache });
    await session.dispose();
    expect(told(KEPT)).toBe(0);
  });

  it('loads the model where the cache cannot be used', async () => {
    writeFileSync(cacheDir, 'a file');
    expect(isKept(await load(modelDir('convnet')))).toBe(false);
    expect(told('Optimised graphs are not kept')).toBe(1);
  });
});

const ELEMENTS = 1024 * 1024;

/** A model that adds `elements` FP32 weights of another file to `x`. */
function outsideWeights(file: string, elements: number): Uint8Array {
  const outside = message([1, 'location'], [2, file]);
  const weights = message([1, elements], [2, 1], [8, 'w'], [13, outside], [14, 1]);
  const node = message([1, 'x'], [1, 'w'], [2, 'y'], [4, 'Add']);
  const graph = message([1, node], [2, 'outside'], [5, weights], [11, vectorInfo('x')], [12, vectorInfo('y')]);
  return message([1, 8], [7, graph], [8, message([1, ''], [2, 17])]);
}

function changeByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
  replace(file, bytes);
}

function truncateToHalf(file: string): void {
  truncateSync(file, statSync(file).size >> 1);
}

/** Entries are read-only. */
function replace(file: string, bytes: Buffer | string): void {
  rmSync(file);
  writeFileSync(file, bytes);
}
