import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModelHeader, type ModelHeader } from '../../../../src/engine/onnx/model-header.ts';
import { message, modelBytes } from '../../../support/onnx-bytes.ts';
import { modelDir } from '../../../support/vectors.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'model-header-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

async function headerOf(bytes: Uint8Array): Promise<ModelHeader> {
  const file = join(scratch, 'model.onnx');
  await writeFile(file, bytes);
  return readModelHeader(file);
}

test('what a model says of itself is read', async () => {
  const header = await headerOf(
    modelBytes({
      irVersion: 9,
      opset: 21,
      extra: [
        [2, 'maker'],
        [3, '1.0'],
        [4, 'org.example'],
        [5, -3n],
        [6, 'says much'],
        [8, message([1, 'ai.onnx.ml'], [2, 4])],
        [14, message([1, 'key'], [2, 'välue'])],
      ],
    }),
  );
  expect(header).toMatchObject({
    irVersion: 9,
    opsets: [
      { domain: 'ai.onnx', version: 21 },
      { domain: 'ai.onnx.ml', version: 4 },
    ],
    producerName: 'maker',
    producerVersion: '1.0',
    domain: 'org.example',
    modelVersion: -3,
    description: 'says much',
    graphName: 'tiny',
    metadata: [['key', 'välue']],
  });
});

test('a graph larger than the window is skipped, fields behind it are read', async () => {
  const header = await headerOf(
    modelBytes({
      extra: [
        [100, new Uint8Array(300_000)],
        [6, 'behind'],
      ],
    }),
  );
  expect(header.description).toBe('behind');
});

test('texts and lists are bounded', async () => {
  const header = await headerOf(
    modelBytes({
      extra: [[6, 'd'.repeat(200_000)], ...Array.from({ length: 500 }, (_, i) => [14, message([1, `k${i}`], [2, 'v'.repeat(5000)])] as const)],
    }),
  );
  expect(header.description.length).toBe(1024);
  expect(header.metadata.length).toBe(64);
  expect(header.metadata[0]?.[1].length).toBe(1024);
});

test('keys of ZipMap outputs come sorted as the map sorts them', async () => {
  const zipmap = await readModelHeader(join(modelDir('zipmap-strings'), 'model.onnx'));
  expect(zipmap.mapKeys.get('scores')).toEqual(['', 'ant', 'häßlich', 'zebra']);
  const iris = await readModelHeader(join(modelDir('iris-zipmap'), 'model.onnx'));
  expect(iris.mapKeys.get('output_probability')).toEqual([0, 1, 2]);
});

test('any bytes end in a header or an error, never in a hang', async () => {
  const real = await readFile(join(modelDir('default-input'), 'model.onnx'));
  await fc.assert(
    fc.asyncProperty(fc.nat(real.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(real.length), async (at, byte, length) => {
      const damaged = Buffer.from(real.subarray(0, length));
      if (at < length) damaged[at] = byte;
      await headerOf(damaged).catch((thrown: unknown) => {
        expect(thrown).toBeInstanceOf(Error);
      });
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['a group', Uint8Array.from([0x0b])],
  ['field number 0', Uint8Array.from([0x00, 0x01])],
  ['an endless number', new Uint8Array(20).fill(0xff)],
  ['a length behind the end', message([7, new Uint8Array(50)]).subarray(0, 20)],
  ['no graph', message([1, 8])],
])('%s is refused', async (_what, bytes) => {
  await expect(headerOf(bytes)).rejects.toThrow();
});

test('what a run costs is known for plain operators only', async () => {
  const isFixed = async (choices: Parameters<typeof modelBytes>[0]): Promise<boolean> => (await headerOf(modelBytes(choices))).hasFixedCost;
  expect(await isFixed({})).toBe(true);
  for (const opType of ['Loop', 'If', 'NonZero', 'Range', 'MadeUp', '']) expect(await isFixed({ opType })).toBe(false);
  // A function of the model's own.
  expect(await isFixed({ extra: [[25, message([1, 'Identity'])]] })).toBe(false);
});
