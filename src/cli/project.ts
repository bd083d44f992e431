import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServingError } from '../core/errors.ts';
import { packageManifest, type PackageManifest } from './version.ts';

/** Of each: what it is, what `serve` needs besides the handler, and libraries of its own. */
export const TEMPLATES = {
  predictor: { summary: 'a predictor: a handler around a model', flags: ['--model_dir=model'], libraries: [] },
  transformer: {
    summary: 'a transformer: a handler in front of a predictor elsewhere',
    flags: ['--predictor_host=localhost:8090', '--predictor_protocol=v2'],
    libraries: [],
  },
  explainer: {
    summary: 'an explainer: a handler that explains the predictions of a predictor elsewhere',
    flags: ['--predictor_host=localhost:8090', '--predictor_protocol=v2'],
    libraries: [],
  },
  image: { summary: 'a predictor that takes pictures: PNG or JPEG in, label out', flags: ['--model_dir=model'], libraries: ['jimp'] },
} as const satisfies Readonly<
  Record<
    string,
    { readonly summary: string; readonly flags: readonly string[]; readonly libraries: readonly (keyof PackageManifest['devDependencies'])[] }
  >
>;

export type Template = keyof typeof TEMPLATES;

export function isTemplate(name: string): name is Template {
  return Object.hasOwn(TEMPLATES, name);
}

/** How the project is served, without `npx`. */
export function startCommand(name: string, template: Template): string {
  return ['kserve-node serve', `--model_name=${name}`, '--handler=handler.ts', ...TEMPLATES[template].flags].join(' ');
}

/** src/cli and dist/cli lie equally deep. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** npm leaves files of these names out of packages. */
const HIDDEN: Readonly<Record<string, string>> = { gitignore: '.gitignore', dockerignore: '.dockerignore', npmrc: '.npmrc' };

/**
 * Writes the files of a template into a new directory of the working directory and returns their paths in it, sorted. Throws ServingError conflict when the
 * directory holds anything, internal when it cannot be written; nothing that is there is ever replaced.
 */
export async function createProject(name: string, template: Template): Promise<readonly string[]> {
  const target = resolve(name);
  await requireEmpty(target, name);
  const sources = new Map([...(await filesIn('templates/common')), ...(await filesIn(`templates/${template}`))]);
  if (TEMPLATES[template].flags.some((flag) => flag === '--model_dir=model'))
    sources.set('model/model.onnx', join(ROOT, 'examples/digits/model/model.onnx'));
  try {
    for (const [file, source] of sources) await writeCopy(source, join(target, file), { __NAME__: name, __START__: startCommand(name, template) });
    await writeFile(join(target, 'package.json'), `${JSON.stringify(manifest(name, template), null, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    throw new ServingError('internal', `Cannot write project ${name}: ${(error as Error).message}`, { cause: error });
  }
  return [...sources.keys(), 'package.json'].sort();
}

async function requireEmpty(target: string, name: string): Promise<void> {
  let found: readonly string[];
  try {
    found = await readdir(target);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw new ServingError('conflict', `Cannot write project ${name}: ${code === 'ENOTDIR' ? 'there is a file of that name' : message}`, {
      cause: error,
    });
  }
  if (found.length > 0)
    throw new ServingError('conflict', `Cannot write project ${name}: the directory is there and is not empty, choose another name`);
}

/** Paths in the project, and where each comes from. */
async function filesIn(folder: string): Promise<readonly (readonly [file: string, source: string])[]> {
  const entries = await readdir(join(ROOT, folder), { withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => [HIDDEN[name] ?? name, join(ROOT, folder, name)]);
}

async function writeCopy(source: string, target: string, words: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  if (target.endsWith('.onnx')) {
    await copyFile(source, target);
    return;
  }
  const text = await readFile(source, 'utf8');
  const filled = text.replaceAll(/__[A-Z]+__/g, (word) => words[word] ?? word);
  await writeFile(target, filled, { flag: 'wx' });
}

function manifest(name: string, template: Template): object {
  const { version, engines, devDependencies } = packageManifest();
  const { libraries } = TEMPLATES[template];
  const isModelHere = TEMPLATES[template].flags.some((flag) => flag.startsWith('--model_dir'));
  return {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    engines,
    scripts: {
      start: `${startCommand(name, template)} --watch`,
      test: 'tsc && node --import tsx --test handler.test.ts',
      ...(isModelHere ? { types: 'kserve-node types model --out model.d.ts' } : {}),
      pack: 'kserve-node pack handler.ts',
    },
    dependencies: {
      ...Object.fromEntries(libraries.map((library) => [library, `^${devDependencies[library]}`] as const)),
      'kserve-node': `^${version}`,
    },
    devDependencies: {
      '@types/node': `^${devDependencies['@types/node']}`,
      tsx: `^${packageManifest().optionalDependencies.tsx}`,
      typescript: `^${devDependencies.typescript}`,
    },
  };
}
