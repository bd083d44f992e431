import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPacked, MANIFEST, MODULES } from '../support/packed-package.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

/** A project that has installed the package: its tarball unpacked, and beside it the dependencies that it declares, and no others. */
let consumer: string;
let scratch: string;
let packed: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-package-'));
  consumer = join(scratch, 'consumer');
  packed = installPacked(scratch, consumer);
  writeFileSync(join(consumer, 'package.json'), '{"type":"module","private":true}');
  cpSync(join(packed, 'examples/digits'), join(consumer, 'digits'), { recursive: true });
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

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
import { loadSettings, startServer, type RunningServer } from 'kserve-node/server';

export const start: (...args: Parameters<typeof startServer>) => Promise<RunningServer> = startServer;
console.log(loadSettings({ argv: ['--model_dir=digits/model'], env: {}, readFile: () => '' }).ok);
`;

const HANDLER = `
import { defineHandler, tensor, type ModelTypes } from 'kserve-node';

interface Model extends ModelTypes {
  readonly inputs: { readonly x: { readonly datatype: 'INT64'; readonly shape: readonly [number] } };
  readonly outputs: { readonly y: { readonly datatype: 'FP32'; readonly shape: readonly [number] } };
}
export default defineHandler<Model>({
  preprocess: (request) => [tensor('x', 'INT64', [1], new BigInt64Array(request.input('x').length))],
  postprocess: (response) => [tensor('z', 'FP32', [1], response.output('y'))],
});
export const misspelled = defineHandler<Model>({
  // @ts-expect-error The model has no input of that name.
  preprocess: () => [tensor('xx', 'INT64', [1], [1n])],
});
export const mistyped = defineHandler<Model>({
  // @ts-expect-error The model takes INT64.
  preprocess: () => [tensor('x', 'FP32', [1], [1])],
});
console.log(typeof defineHandler);
`;

/** As users may have it: no type is known that they did not ask for. Declarations of libraries are checked where that takes no quarter of a minute. */
function compile(file: string, code: string, isLibraryChecked: boolean): void {
  writeFileSync(join(consumer, file), code);
  const check = isLibraryChecked ? '--skipDefaultLibCheck' : '--skipLibCheck';
  const options = ['--target', 'ES2023', '--lib', 'ES2023,DOM', '--module', 'NodeNext', '--strict', '--exactOptionalPropertyTypes', check];
  run([join(MODULES, 'typescript/bin/tsc'), ...options, file, 'globals.d.ts']);
}

describe('the packed package', () => {
  it('holds the program, its protocol files, templates and examples, and nothing else', () => {
    const files = readdirSync(packed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(packed.length + 1));
    for (const file of [
      'dist/main.cjs',
      'dist/child.cjs',
      'protos/open_inference.proto',
      'examples/digits/model/model.onnx',
      'templates/common/gitignore',
      'templates/predictor/handler.ts',
      'CHANGELOG.md',
    ]) {
      expect(files).toContain(file);
    }
    expect(
      files.filter((file) => !/^(dist|protos|templates|examples|runtimes)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(file)),
    ).toEqual([]);
    expect(
      files.filter(
        (file) => file.startsWith('dist/') && !/\.(js|cjs|d\.ts|d\.cts)(\.map)?$|^dist\/(\.build-stamp|bundle\/LICENSES-s3\.txt)$/.test(file),
      ),
    ).toEqual([]);
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

  it('gives handlers their types and nothing of the server', () => {
    compile('handler.ts', HANDLER, true);
    expect(run(['handler.js'])).toBe('function\n');
  });
});
