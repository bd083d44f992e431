import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODULES = join(ROOT, 'node_modules');
const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string; dependencies: Record<string, string> };

/** A project that has installed the package: its tarball unpacked, and beside it the dependencies that it declares, and no others. */
let consumer: string;
let scratch: string;
let packed: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-package-'));
  consumer = join(scratch, 'consumer');
  packed = join(consumer, 'node_modules/kserve-node');
  mkdirSync(packed, { recursive: true });
  execFileSync('tar', ['xzf', pack(), '-C', packed, '--strip-components=1']);
  for (const name of Object.keys(MANIFEST.dependencies)) linkModule(name);
  // What npm does with "bin".
  chmodSync(join(packed, 'dist/main.cjs'), 0o755);
  mkdirSync(join(consumer, 'node_modules/.bin'));
  symlinkSync('../kserve-node/dist/main.cjs', join(consumer, 'node_modules/.bin/kserve-node'));
  writeFileSync(join(consumer, 'package.json'), '{"type":"module","private":true}');
  cpSync(join(packed, 'examples/digits'), join(consumer, 'digits'), { recursive: true });
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** `npm pack` of a copy: the checkout's dist/ is in use by other tests. */
function pack(): string {
  const source = join(scratch, 'source');
  for (const path of [
    'package.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'dist',
    'protos',
    'examples',
    'scripts',
    'src',
    'test/support',
    '.npmrc',
  ]) {
    cpSync(join(ROOT, path), join(source, path), { recursive: true, filter: (from) => !from.endsWith('.readme') });
  }
  const npm = spawnSync('npm', ['pack', '--ignore-scripts', '--loglevel=error', `--pack-destination=${scratch}`], { cwd: source, encoding: 'utf8' });
  expect(npm.status, npm.stderr).toBe(0);
  return join(scratch, `kserve-node-${MANIFEST.version}.tgz`);
}

function linkModule(name: string): void {
  const link = join(consumer, 'node_modules', name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join(MODULES, name), link);
}

function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: consumer,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: scratch },
  });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}

const USE = `
import { connect, InferenceError, tensor } from 'kserve-node/client';

const client = connect(process.argv[2] ?? '', { tls: { ca: new Uint8Array(1) } });
const response = await client.infer('digits', { inputs: [tensor('input', 'FP32', [1, 64], new Float32Array(64))] });
const labels: BigInt64Array = response.output('label', 'INT64');
console.log(labels.length, typeof InferenceError);
client.close();
// @ts-expect-error FP32 takes no bigints.
export const refused = (): unknown => tensor('input', 'FP32', [1], new BigInt64Array(1));
`;

const EMBED = `
import { loadSettings, startServer, type RunningServer } from 'kserve-node';

export const start: (...args: Parameters<typeof startServer>) => Promise<RunningServer> = startServer;
console.log(loadSettings({ argv: ['--model_dir=digits/model'], env: {}, readFile: () => '' }).ok);
`;

/** As users may have it: no type is known that they did not ask for. Declarations of libraries are checked where that takes no quarter of a minute. */
function compile(file: string, code: string, isLibraryChecked: boolean): void {
  writeFileSync(join(consumer, file), code);
  const check = isLibraryChecked ? '--skipDefaultLibCheck' : '--skipLibCheck';
  const options = ['--target', 'ES2023', '--lib', 'ES2023,DOM', '--module', 'NodeNext', '--strict', '--exactOptionalPropertyTypes', check];
  run([join(MODULES, 'typescript/bin/tsc'), ...options, file, 'globals.d.ts']);
}

describe('the packed package', () => {
  it('holds the program, its protocol files and the example, and nothing else', () => {
    const files = readdirSync(packed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(packed.length + 1));
    for (const file of [
      'dist/main.cjs',
      'dist/executor/child.js',
      'protos/open_inference.proto',
      'examples/digits/model/model.onnx',
      'CHANGELOG.md',
    ]) {
      expect(files).toContain(file);
    }
    expect(files.filter((file) => !/^(dist|protos|examples\/digits)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(file))).toEqual([]);
    expect(files.filter((file) => file.startsWith('dist/') && !/\.(js|cjs|d\.ts|d\.cts)(\.map)?$|^dist\/\.build-stamp$/.test(file))).toEqual([]);
  });

  it('has source maps that need no file that it lacks', () => {
    const map = JSON.parse(readFileSync(join(packed, 'dist/server.js.map'), 'utf8')) as { sourcesContent?: string[] };
    expect(map.sourcesContent?.[0]).toContain('export async function startServer');
  });

  it('runs its program through the link that npm makes', () => {
    const bin = join(consumer, 'node_modules/.bin/kserve-node');
    expect(run([bin, '--version'])).toContain(MANIFEST.version);
    expect(run([bin, 'inspect', 'digits/model'])).toMatch(/binding +native[\s\S]*probabilities/);
  });

  it('serves, and its client type-checks strictly and talks to it over REST and gRPC', async () => {
    writeFileSync(join(consumer, 'globals.d.ts'), 'declare const process: { readonly argv: readonly string[] };');
    compile('use.ts', USE, true);
    const server: ServerProcess = await startServerProcess(['--model_name=digits', '--model_dir=digits/model', '--isolation=process'], {
      cwd: consumer,
      main: join(packed, 'dist/main.cjs'),
    });
    for (const url of [server.url, `grpc://${server.grpcAddress}`]) expect(run(['use.js', url])).toBe('1 function\n');
    expect(await server.stop()).toBe(0);
  });

  it('type-checks and loads as a library', () => {
    compile('embed.ts', EMBED, false);
    expect(run(['embed.js'])).toBe('true\n');
  });
});
