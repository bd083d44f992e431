import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { createExplainer } from '../../../src/explain/index.ts';
import { explainerSection } from '../../../src/explain/options.ts';
import { loadOptions } from '../../../src/options/index.ts';
import { contextOf, DEPS, fakeModel, requestOf, rowsOf, SETTINGS } from './fake-model.ts';

test('without the option there is no explainer', async () => {
  expect(await createExplainer({ ...SETTINGS, kind: undefined }, DEPS)).toBeUndefined();
});

test.each([
  [{ kind: 'kernel-shap' as const }, /^--explainer_background: expected a file .* got none$/],
  [{ kind: 'kernel-shap' as const, background: '/no/such/file' }, /^Cannot read --explainer_background \/no\/such\/file: ENOENT/],
  [{ kind: 'occlusion' as const, patch: 2, stride: 3 }, /^--explainer_stride: expected at most --explainer_patch \(2\), got 3$/],
])('%j is refused at start-up', async (changes, message) => {
  await expect(createExplainer({ ...SETTINGS, ...changes }, DEPS)).rejects.toThrow(message);
});

test('a background of many rows is warned of', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'explainer-'));
  await writeFile(join(dir, 'rows.csv'), '1,2\n'.repeat(101));
  const warnings: object[] = [];
  const log: Logger = { ...SILENT_LOGGER, warn: (fields) => warnings.push(fields) };
  await createExplainer({ ...SETTINGS, background: join(dir, 'rows.csv') }, { log });
  await rm(dir, { recursive: true });
  expect(warnings).toEqual([{ rows: 101 }]);
});

test('explanations beyond the limit are refused as overload, and those after them are not', async () => {
  const explainer = await createExplainer({ ...SETTINGS, kind: 'occlusion', maxRequests: 1 }, DEPS);
  const model = fakeModel(([a = 0]) => [a]);
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const slow = async (inputs: readonly Tensor[]): Promise<readonly Tensor[]> => {
    await opened;
    return model.predict(inputs);
  };
  const request = requestOf([rowsOf([[1, 2, 3, 4]])]);
  const first = explainer!.explain(request, model, slow, contextOf());
  await expect(explainer!.explain(request, model, model.predict, contextOf())).rejects.toMatchObject({
    reason: 'overloaded',
    message: expect.stringContaining('--explainer_max_requests') as string,
  });
  open();
  expect((await first).outputs.length).toBe(3);
  await expect(explainer!.explain(request, model, model.predict, contextOf())).resolves.toMatchObject({ modelName: 'fake', modelVersion: '1' });
});

test('each call of the model is observed', async () => {
  const seen: [string, number][] = [];
  const observer = { evaluated: (model: string, rows: number) => seen.push([model, rows]) };
  const explainer = await createExplainer({ ...SETTINGS, kind: 'occlusion' }, { ...DEPS, observer });
  const model = fakeModel(([a = 0]) => [a]);
  await explainer!.explain(requestOf([rowsOf([[1, 2, 3, 4]])]), model, model.predict, contextOf());
  expect(seen).toEqual([
    ['fake', 1],
    ['fake', 4],
  ]);
});

test('options: defaults are those of a server without explainer', () => {
  const read = (argv: readonly string[]): ReturnType<typeof loadOptions<{ explainer: typeof explainerSection }>> =>
    loadOptions({ explainer: explainerSection }, { argv, env: {}, readFile: () => '' });
  expect(read([])).toMatchObject({ ok: true, values: { explainer: { ...SETTINGS, kind: undefined } } });
  expect(read(['--explainer', 'occlusion', '--explainer_baseline=-1.5e2'])).toMatchObject({
    values: { explainer: { kind: 'occlusion', baseline: -150 } },
  });
  expect(read(['--explainer', 'lime', '--explainer_baseline', 'x'])).toMatchObject({
    ok: false,
    problems: [expect.stringContaining('--explainer'), expect.stringContaining('expected a number')] as string[],
  });
});
