import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
export const MODULES = join(ROOT, 'node_modules');
export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

/**
 * What `npm install` of the packed package leaves in a project: its tarball unpacked, and beside it the dependencies that it declares, those in `more`, and no
 * others. Without a network. Returns where the package lies.
 */
export function installPacked(scratch: string, project: string, more: readonly string[] = []): string {
  const packed = join(project, 'node_modules/kserve-node');
  mkdirSync(packed, { recursive: true });
  execFileSync('tar', ['xzf', pack(scratch), '-C', packed, '--strip-components=1']);
  for (const name of [...Object.keys(MANIFEST.dependencies), ...Object.keys(MANIFEST.optionalDependencies), ...more]) linkModule(project, name);
  // What npm does with "bin".
  chmodSync(join(packed, 'dist/main.cjs'), 0o755);
  linkProgram(project, 'kserve-node', '../kserve-node/dist/main.cjs');
  return packed;
}

export function linkProgram(project: string, name: string, target: string): void {
  mkdirSync(join(project, 'node_modules/.bin'), { recursive: true });
  symlinkSync(target, join(project, 'node_modules/.bin', name));
}

/** `npm pack` of a copy: the checkout's dist/ is in use by other tests. */
function pack(scratch: string): string {
  const source = join(scratch, 'source');
  const paths = [
    'package.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'dist',
    'protos',
    'examples',
    'runtimes',
    'templates',
    'scripts',
    'src',
    'test/support',
    '.npmrc',
  ];
  for (const path of paths) cpSync(join(ROOT, path), join(source, path), { recursive: true, filter: (from) => !from.endsWith('.readme') });
  const npm = spawnSync('npm', ['pack', '--ignore-scripts', '--loglevel=error', `--pack-destination=${scratch}`], { cwd: source, encoding: 'utf8' });
  if (npm.status !== 0) throw new Error(`npm pack failed: ${npm.stderr}`);
  return join(scratch, `kserve-node-${MANIFEST.version}.tgz`);
}

function linkModule(project: string, name: string): void {
  const link = join(project, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join(MODULES, name), link);
}
