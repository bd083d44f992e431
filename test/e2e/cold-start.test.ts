import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODEL = join(ROOT, 'examples/digits/model');
const BODY = readFileSync(join(ROOT, 'examples/digits/request.json'));

/** A copy of the built package: what its program keeps is looked at, broken and taken away. */
let home: string;
let main: string;
let compiled: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kserve-node-cold-'));
  for (const part of ['dist', 'protos', 'package.json']) cpSync(join(ROOT, part), join(home, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  main = join(home, 'dist/main.cjs');
  compiled = join(home, 'dist/compiled');
  rmSync(compiled, { recursive: true, force: true });
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

function start(...more: readonly string[]): Promise<ServerProcess> {
  return startServerProcess(['--model_name=digits', `--model_dir=${MODEL}`, '--log_format=json', ...more], { main });
}

async function infer({ url }: ServerProcess): Promise<unknown> {
  const response = await fetch(`${url}/v2/models/digits/infer`, { method: 'POST', body: BODY, headers: { 'content-type': 'application/json' } });
  return { status: response.status, outputs: ((await response.json()) as { outputs: unknown }).outputs };
}

const NOBODY = 65_534;

/** Whether there is another user, who can read the checkout: the copy takes libraries from there. */
function mayReadAsNobody(): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('test', ['-r', join(ROOT, 'package.json')], { uid: NOBODY, gid: NOBODY }).status === 0;
}

const cacheFiles = (): string[] => (existsSync(compiled) ? readdirSync(compiled).filter((name) => name.endsWith('.bin')) : []);

describe('a cold start', () => {
  let right: unknown;

  it('keeps what was compiled, one file for each role, after the first answer', async () => {
    const server = await start('--isolation=process');
    right = await infer(server);
    expect(right).toMatchObject({ status: 200 });
    await expect
      .poll(
        () =>
          cacheFiles()
            .map((name) => name.split('-')[0])
            .sort(),
        { timeout: 20_000 },
      )
      .toEqual(['child', 'cli']);
    expect(await server.stop()).toBe(0);
  });

  it.each([
    ['of other contents', (bytes: Buffer) => Buffer.from(bytes).fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 8)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
    ['empty', () => Buffer.alloc(0)],
    ['of another source', (bytes: Buffer) => Buffer.from(bytes).fill(0, 4, 8)],
  ])('takes no file %s, answers all the same and puts a right one in its place', async (_, damage) => {
    const files = cacheFiles().map((name) => ({ path: join(compiled, name), whole: readFileSync(join(compiled, name)) }));
    expect(files.length).toBeGreaterThan(0);
    const damaged = files.map(({ whole }) => damage(whole));
    files.forEach(({ path }, i) => {
      writeFileSync(path, damaged[i]!);
    });
    const server = await start('--isolation=process');
    expect(await infer(server)).toEqual(right);
    await expect.poll(() => files.every(({ path }, i) => !readFileSync(path).equals(damaged[i]!)), { timeout: 20_000 }).toBe(true);
    expect(await server.stop()).toBe(0);
  });

  it('leaves a fitting file alone', async () => {
    const times = (): number[] => cacheFiles().map((name) => statSync(join(compiled, name)).mtimeMs);
    const before = times();
    const server = await start('--isolation=process');
    expect(await infer(server)).toEqual(right);
    expect(await server.stop()).toBe(0);
    expect(times()).toEqual(before);
  });

  it('works where nothing can be kept', async () => {
    rmSync(compiled, { recursive: true });
    // A file in the place of the directory refuses root, too.
    writeFileSync(compiled, '');
    const server = await start();
    expect(await infer(server)).toEqual(right);
    expect(await server.stop()).toBe(0);
    expect(server.output()).not.toMatch(/"level":"(warn|error)"/);
    rmSync(compiled);
  });

  it.runIf(mayReadAsNobody())('works for a user who may read the package and the model and write nothing', async () => {
    chmodSync(home, 0o755);
    const model = join(home, 'model');
    cpSync(MODEL, model, { recursive: true });
    for (const isolation of ['inline', 'process']) {
      const args = ['--model_name=digits', `--model_dir=${model}`, '--log_format=json', `--isolation=${isolation}`];
      const server = await startServerProcess(args, { main, uid: NOBODY, cwd: home, env: { HOME: '/nonexistent' } });
      expect(await infer(server)).toEqual(right);
      expect(await server.stop()).toBe(0);
      expect(server.output()).not.toMatch(/"level":"(warn|error)"/);
    }
    expect(existsSync(compiled)).toBe(false);
  });

  it('imports express, pino, prom-client and HTTP/2 only after it listens', async () => {
    const hook = join(home, 'hook.cjs');
    writeFileSync(
      hook,
      `const { Server } = require('node:http');
const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
  const files = [...Object.keys(require('node:module')._cache), ...process.moduleLoadList];
  require('node:fs').writeFileSync(process.env.LOADED, JSON.stringify(files));
  return listen.apply(this, args);
};`,
    );
    const loaded = join(home, 'loaded.json');
    const server = await startServerProcess(['--model_name=digits', `--model_dir=${MODEL}`], {
      main,
      nodeArgs: ['-r', hook],
      env: { LOADED: loaded },
    });
    const files = JSON.parse(readFileSync(loaded, 'utf8')) as string[];
    expect(files).toContain('NativeModule http');
    expect(files.filter((name) => name.startsWith('NativeModule') && /http2|child_process|^NativeModule https$/.test(name))).toEqual([]);
    const packages = files.flatMap((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []);
    expect([...new Set(packages)].filter((name) => !name.includes('koffi'))).toEqual([]);
    expect(packages.length).toBeGreaterThan(0);
    // And then it does: a path that only express knows.
    expect((await fetch(`${server.url}/nowhere`)).status).toBe(404);
    expect(await server.stop()).toBe(0);
  });

  it('tells how long its parts took, in a table and as metrics', async () => {
    const server = await start('--isolation=process', '--startup_report');
    await infer(server);
    await server.waitFor(/Start-up[^]*first inference answered/);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const seconds = ['main', 'options', 'modules', 'child', 'models', 'listening', 'answer'].map((phase) =>
      Number(new RegExp(`kserve_node_startup_seconds\\{phase="${phase}"\\} (\\S+)`).exec(metrics)?.[1]),
    );
    expect(seconds.every((value) => value > 0)).toBe(true);
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
    expect(await server.stop()).toBe(0);
  });
});
