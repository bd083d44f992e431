import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBackground } from '../../../src/explain/background.ts';

let file = '';
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'background-')), 'rows');
});
afterAll(async () => {
  await rm(join(file, '..'), { recursive: true, force: true });
});

const table = { rows: 2, width: 3, values: Float64Array.of(1, 2.5, -3, 4, NaN, 6) };

test.each([
  ['CSV', '1,2.5,-3\n4,,6\n'],
  ['CSV with names and Windows lines', 'a,b,c\r\n1, 2.5 ,-3\r\n\r\n4,nan,6'],
  ['a list of rows', '[[1,2.5,-3],[4,null,6]]'],
  ['nested rows', '[[[1],[2.5,-3]],[[4],["NaN",6]]]'],
  ['v1 instances', '{"instances":[[1,2.5,-3],[4,null,6]]}'],
])('%s gives rows for any input', async (_, text) => {
  await writeFile(file, text);
  expect(await readBackground(file)).toEqual({ path: file, byInput: new Map(), unnamed: table });
});

test('a v2 request gives rows by input, flat or nested, without those of texts', async () => {
  const inputs = [
    { name: 'x', datatype: 'FP32', shape: [2, 3], data: [1, 2.5, -3, 4, null, 6] },
    { name: 'y', datatype: 'BOOL', shape: [1, 1, 2], data: [[[true, false]]] },
    { name: 'z', datatype: 'BYTES', shape: [1], data: ['a'] },
  ];
  await writeFile(file, JSON.stringify({ inputs }));
  const { byInput } = await readBackground(file);
  expect([...byInput]).toEqual([
    ['x', table],
    ['y', { rows: 1, width: 2, values: Float64Array.of(1, 0) }],
  ]);
});

test.each([
  ['', /expected at least one row of numbers|got ""/],
  ['a,b\n', /expected JSON, or CSV of numbers, got "a,b"/],
  ['1,2\n3,x', /got "3,x"/],
  ['1,2\n3', /expected 2 values in every row, got 1 in row 2/],
  ['[]', /at least one row/],
  ['[[1,2],[3]]', /expected 2 values in every row/],
  ['[["a"]]', /expected numbers, got "a"/],
  ['[1,', /JSON/],
  ['{"rows":[]}', /expected a field "inputs" or "instances"/],
  ['{"inputs":[{"name":"x","shape":[2,2],"data":[1]}]}', /expected 4 values for shape \[2,2\] of input "x", got 1/],
  ['{"inputs":[{"name":"x","shape":[],"data":[1]}]}', /inputs\[0\] with name, shape/],
  ['{"inputs":[null]}', /inputs\[0\] with name, shape/],
])('%j is refused', async (text, message) => {
  await writeFile(file, text);
  const message_ = expect.stringMatching(message) as string;
  await expect(readBackground(file)).rejects.toMatchObject({ reason: 'invalid_request', message: message_ });
  await expect(readBackground(file)).rejects.toThrow(`Cannot read --explainer_background ${file}: `);
});

test('a file that is not there is refused', async () => {
  await expect(readBackground('/no/such/file.csv')).rejects.toThrow(/Cannot read --explainer_background \/no\/such\/file\.csv: ENOENT/);
});
