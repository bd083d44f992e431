import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runPack } from '../../../src/cli/pack.ts';
import { FakeHost } from './fake-host.ts';

async function pack(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new FakeHost();
  const code = await runPack(args, host);
  return { code, out: host.out, err: host.err };
}

describe('runPack', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'pack-'));
    vi.spyOn(process, 'cwd').mockReturnValue(dir);
  });

  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(dir, { recursive: true });
  });

  function write(file: string, code: string): string {
    const path = join(dir, file);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, code);
    return path;
  }

  function writePackage(name: string, manifest: object, code: string): void {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js', ...manifest }));
    write(`node_modules/${name}/index.js`, code);
  }

  it('puts a handler and what it imports, CommonJS too, into one module that runs', async () => {
    writePackage(
      'old-style',
      {},
      'const { sep } = require("node:path"); module.exports = () => [typeof require, sep, __dirname, __filename.length > 0];',
    );
    write('part.ts', 'export const part: string = "part";');
    const entry = write(
      'handler.ts',
      'import { createRequire } from "node:module"; import old from "old-style"; import { part } from "./part.ts";\n' +
        'const require = createRequire(import.meta.url); const __dirname = "mine"; export default { part, old: old(), own: [typeof require, __dirname] };',
    );
    const { code, out, err } = await pack(entry);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^Wrote handler\.mjs: \d.* KiB, 1 package: old-style$/m);
    expect(out).toContain('kubectl create configmap my-handler --from-file=handler.mjs');
    const packed = (await import(/* @vite-ignore */ pathToFileURL(join(dir, 'handler.mjs')).href)) as { default: Record<string, unknown> };
    expect(packed.default).toMatchObject({ part: 'part', own: ['function', 'mine'] });
    expect(packed.default['old']).toEqual(['function', expect.any(String), expect.stringContaining('pack-'), true]);
  });

  it('leaves kserve-node to the server', async () => {
    write('handler.ts', 'import { defineHandler } from "kserve-node"; export default defineHandler({});');
    expect((await pack(join(dir, 'handler.ts'))).code).toBe(0);
    expect(readFileSync(join(dir, 'handler.mjs'), 'utf8')).toMatch(/from "kserve-node"/);
  });

  it('minifies what is too large for a ConfigMap, and warns when it still is', async () => {
    const wordy =
      `/*! kept */\n${'//'.padEnd(200, 'x')}\n`.repeat(10) + `const text = ${JSON.stringify('x'.repeat(1_100_000))}; export default { text };`;
    const { code, out, err } = await pack(write('handler.js', wordy));
    expect(code).toBe(0);
    expect(out).toContain('minified');
    expect(out).not.toContain('configmap');
    expect(err).toMatch(/^warning: 1\.\d MiB are more than a ConfigMap holds \(1 MiB\)/);
  });

  it('warns of native modules', async () => {
    writePackage('with-file', {}, 'module.exports = require("./build/fast.node");');
    writePackage('with-tool', { dependencies: { bindings: '1' } }, 'module.exports = 1;');
    const { code, err } = await pack(write('handler.js', 'import a from "with-file"; import b from "with-tool"; export default { a, b };'));
    expect(code).toBe(0);
    expect(err).toBe('warning: native modules cannot be packed (with-file, with-tool): build an image that has them in node_modules\n');
  });

  it.each([
    ['a fault of the code', 'export default {;', /^Cannot pack handler\.ts: handler\.ts:1:17: .+\n$/],
    ['an import that is not there', 'import "nowhere"; export default {};', /^Cannot pack handler\.ts: handler\.ts:1:8: .*nowhere.*\n$/],
    [
      'no default export',
      'export const x = 1;',
      /^Cannot pack handler\.ts: it has no default export, write export default defineHandler\(\{ … \}\)\n$/,
    ],
  ])('names file and line of %s', async (_what, code, message) => {
    const result = await pack(write('handler.ts', code));
    expect(result).toMatchObject({ code: 1, out: '' });
    expect(result.err).toMatch(message);
  });

  it('never replaces the source, or a file that it did not write', async () => {
    const entry = write('handler.mjs', 'export default {};');
    expect((await pack(entry)).err).toBe('Cannot pack handler.mjs into itself: choose another --out\n');
    write('other.mjs', 'mine');
    expect((await pack(entry, '--out=other.mjs')).err).toMatch(/^Cannot write other\.mjs: a file is there that this command did not write/);
    expect((await pack(entry, '--out=new.mjs')).code).toBe(0);
    expect((await pack(entry, '--out=new.mjs')).code).toBe(0);
  });

  it.each([
    [[], 'expected one handler file, got 0: write kserve-node pack HANDLER [--out FILE]\n'],
    [['a.ts', '--out=b.js'], '--out takes a name that ends in .mjs, got b.js\n'],
    [['a.ts', '--otu=b.mjs'], 'unknown flag --otu, did you mean --out?\n'],
  ])('refuses %j with code 2', async (args, err) => {
    expect(await pack(...args)).toEqual({ code: 2, out: '', err });
  });
});
