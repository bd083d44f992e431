import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const LOAD = fileURLToPath(new URL('./handler-loading/load.mjs', import.meta.url));
let dir = '';

/** Outside of the repository: no node_modules leads to the package. */
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'handler-'));
});

afterAll(() => rm(dir, { recursive: true }));

interface Loaded {
  readonly answer?: unknown;
  readonly reason?: string;
  readonly message?: string;
}

async function load(...names: readonly string[]): Promise<readonly Loaded[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [LOAD, ...names.map((name) => join(dir, name))], { timeout: 50_000 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Loaded);
}

const IMPORT = "import { defineHandler } from 'kserve-node';\n";

describe('a handler outside of any package', () => {
  test.each(['.ts', '.mts', '.mjs', '.js'])('loads from %s with the package itself, and is read anew the next time', async (extension) => {
    const types = extension.endsWith('ts');
    const library = `library${extension === '.js' ? '.mjs' : extension}`;
    await writeFile(join(dir, library), types ? 'export const twice = (n: number): number => 2 * n;\n' : 'export const twice = (n) => 2 * n;\n');
    const source = `${IMPORT}import { connect } from 'kserve-node/client';\nimport { twice } from './${library}';\n${types ? 'interface A { n: number }\n' : ''}const a${types ? ': A' : ''} = { n: 21 };\nexport default defineHandler({ predict: () => [typeof connect, twice(a.n), Math.random()]${types ? ' as never' : ''} });\n`;
    await writeFile(join(dir, `good${extension}`), source);
    if (extension === '.js') await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
    const [first, second] = await load(`good${extension}`, `good${extension}`);
    expect(first?.answer).toMatchObject(['function', 42, expect.any(Number)]);
    expect(second?.answer).toMatchObject(['function', 42, expect.any(Number)]);
  });

  test.each([
    ['is not there', 'absent.mjs', undefined, 'there is no such file'],
    ['is of another kind', 'handler.py', 'x', 'expected a file that ends in .ts, .mts, .js, .mjs'],
    [
      'does not compile',
      'syntax.mjs',
      `${IMPORT}export default defineHandler({\n  preprocess: () => ];\n});\n`,
      /syntax\.mjs:3: SyntaxError: .* in `preprocess: \(\) => \];`$/,
    ],
    [
      'does not compile as TypeScript',
      'syntax.ts',
      `${IMPORT}export default defineHandler({\n  preprocess: () => ];\n});\n`,
      /syntax\.ts:3: SyntaxError: .* in `preprocess: \(\) => \];`$/,
    ],
    [
      'misnames a method',
      'misnamed.ts',
      `${IMPORT}export default defineHandler({ preProcess: () => undefined } as never);\n`,
      'misnamed.ts:2: TypeError: defineHandler: unknown member "preProcess", did you mean preprocess?',
    ],
    ['exports nothing', 'nothing.mjs', 'globalThis.x = 1;\n', 'it exports nothing, expected `export default defineHandler({ … })`'],
    [
      'exports by name only',
      'named.mjs',
      `${IMPORT}export const handler = defineHandler({});\n`,
      'it exports only handler, expected `export default defineHandler({ … })`',
    ],
    [
      'exports a bare object',
      'bare.mjs',
      'export default { predict() {} };\n',
      'its default export is an object with "predict", expected `export default defineHandler({ … })`',
    ],
    [
      'imports what is not installed',
      'missing.ts',
      `${IMPORT}import sharp from 'not-installed-anywhere';\nexport default defineHandler({ load: sharp });\n`,
      'missing.ts:2: cannot find not-installed-anywhere: install it beside the handler, or bundle it with kserve-node pack',
    ],
    ['throws at once', 'throws.mjs', "\nthrow new Error('no labels');\n", "throws.mjs:2: Error: no labels in `throw new Error('no labels');`"],
  ])('that %s is refused in one line: where, why and the fix', async (_what, name, source, expected) => {
    if (source !== undefined) await writeFile(join(dir, name), source);
    const [loaded] = await load(name);
    expect(loaded?.reason).toBe('handler_failed');
    expect(loaded?.message).toContain(`Cannot load handler ${join(dir, name)}`);
    expect(loaded?.message).toMatch(expected);
    expect(loaded?.message).not.toContain('\n');
  });
});
