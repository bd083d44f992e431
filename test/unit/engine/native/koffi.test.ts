import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { koffi, KOFFI_VERSION } from '../../../../src/engine/native/koffi.ts';

const ROOT = join(import.meta.dirname, '../../../..');

it('koffi is of the version that package.json pins', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  expect(KOFFI_VERSION).toBe(dependencies['koffi']);
});

it('koffi has all that the whole library has and is used here, taken alone or not', () => {
  const whole = createRequire(import.meta.url)('koffi') as Readonly<Record<string, unknown>>;
  const used = ['address', 'array', 'decode', 'load', 'proto'];
  expect(used.map((name) => typeof whole[name])).toEqual(used.map(() => 'function'));
  expect(used.map((name) => typeof (koffi as unknown as Readonly<Record<string, unknown>>)[name])).toEqual(used.map(() => 'function'));
});
