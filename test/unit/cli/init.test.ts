import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runInit } from '../../../src/cli/init.ts';
import { TEMPLATES } from '../../../src/cli/project.ts';
import { FakeHost } from './fake-host.ts';

async function init(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new FakeHost();
  const code = await runInit(args, host);
  return { code, out: host.out, err: host.err };
}

describe('runInit', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'init-'));
    vi.spyOn(process, 'cwd').mockReturnValue(dir);
  });

  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(dir, { recursive: true });
  });

  it.each(Object.keys(TEMPLATES))('writes a whole project from template %s, named throughout', async (template) => {
    const { code, out, err } = await init('my-model', `--template=${template}`);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const listed = [...out.matchAll(/^ {2}my-model\/(.+)$/gm)].map(([, file]) => file ?? '');
    const wanted = [
      'handler.ts',
      'handler.test.ts',
      'package.json',
      'tsconfig.json',
      'README.md',
      'Dockerfile',
      'inferenceservice.yaml',
      '.gitignore',
    ];
    expect(listed).toEqual(expect.arrayContaining(wanted));
    for (const file of listed.filter((name) => !name.endsWith('.onnx')))
      expect(readFileSync(join(dir, 'my-model', file), 'utf8')).not.toMatch(/__[A-Z]+__/);
    expect(readFileSync(join(dir, 'my-model/inferenceservice.yaml'), 'utf8')).toContain('name: my-model');
    const manifest = JSON.parse(readFileSync(join(dir, 'my-model/package.json'), 'utf8')) as Record<string, Record<string, string>>;
    expect(manifest).toMatchObject({ name: 'my-model', type: 'module', dependencies: { 'kserve-node': expect.stringMatching(/^\^\d/) as unknown } });
    expect(
      Object.values({ ...manifest['dependencies'], ...manifest['devDependencies'] }).filter((version) => !/^\^\d+\.\d+\.\d+$/.test(version)),
    ).toEqual([]);
    expect(existsSync(join(dir, 'my-model/model/model.onnx'))).toBe(listed.includes('model.d.ts'));
  });

  it('takes a directory that is there and empty, and no other', async () => {
    mkdirSync(join(dir, 'there'));
    expect((await init('there')).code).toBe(0);
    const before = readFileSync(join(dir, 'there/handler.ts'), 'utf8');
    expect(await init('there', '--template', 'image')).toEqual({
      code: 1,
      out: '',
      err: 'Cannot write project there: the directory is there and is not empty, choose another name\n',
    });
    expect(readFileSync(join(dir, 'there/handler.ts'), 'utf8')).toBe(before);
    writeFileSync(join(dir, 'file'), '');
    expect((await init('file')).err).toBe('Cannot write project file: there is a file of that name\n');
  });

  it.each([['Upper'], ['-dash'], ['dash-'], ['a/b'], ['..'], ['1st'], ['a'.repeat(41)], ['']])('refuses the name %j with code 2', async (name) => {
    const { code, out, err } = await init('--', name);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^cannot name a project ".*": expected 1 to 40 of a-z, 0-9 and "-", starting with a letter and not ending in "-"\n$/);
  });

  it.each([
    [['x', '--template=imgae'], 'unknown template "imgae", did you mean image? (templates: predictor, transformer, explainer, image)\n'],
    [['x', '--template=__proto__'], 'unknown template "__proto__" (templates: predictor, transformer, explainer, image)\n'],
    [['x', '--tempalte=image'], 'unknown flag --tempalte, did you mean --template?\n'],
    [[], 'expected one name, got 0: write kserve-node init NAME [--template TEMPLATE]\n'],
  ])('refuses %j with code 2', async (args, err) => {
    expect(await init(...args)).toEqual({ code: 2, out: '', err });
    expect(existsSync(join(dir, 'x'))).toBe(false);
  });
});
