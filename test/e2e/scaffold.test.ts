import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Jimp } from 'jimp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPacked, linkProgram } from '../support/packed-package.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

/** An empty folder in which the packed package was installed, and what the projects ask for besides. */
let folder: string;
let packed: string;
let scratch: string;
/** Plays the predictor elsewhere. */
let predictor: ServerProcess;
const pixels = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../../examples/digits/images.json'), 'utf8')) as { label: number; pixels: number[] }[]
).find(({ label }) => label === 6)!.pixels;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-scaffold-'));
  folder = join(scratch, 'folder');
  packed = installPacked(scratch, folder, ['typescript', '@types/node', 'jimp']);
  linkProgram(folder, 'tsc', '../typescript/bin/tsc');
  predictor = await startServerProcess(['--model_name=digits', `--model_dir=${join(packed, 'examples/digits/model')}`]);
});
afterAll(async () => {
  await predictor.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const json = { 'content-type': 'application/json' };

async function post(url: string, body: string | Uint8Array<ArrayBuffer>, headers: Readonly<Record<string, string>> = json): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', body, headers });
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

async function png(): Promise<Uint8Array<ArrayBuffer>> {
  const image = new Jimp({ width: 8, height: 8, color: 0xffffffff });
  pixels.forEach((ink, point) => {
    const light = 255 - Math.round((ink / 16) * 255);
    image.bitmap.data.set([light, light, light, 255], 4 * point);
  });
  return Uint8Array.from(await image.resize({ w: 64, h: 64 }).getBuffer('image/png'));
}

/** One request to each, and its answer. */
const CASES: Readonly<Record<string, (url: string) => Promise<void>>> = {
  predictor: async (url) => {
    const answer = await post(`${url}/v1/models/digits:predict`, JSON.stringify({ instances: [pixels] }));
    expect(answer).toEqual({ predictions: [{ digit: 6, probability: expect.closeTo(0.92, 1) as unknown }] });
  },
  transformer: async (url) => {
    const answer = await post(`${url}/v1/models/digits:predict`, JSON.stringify({ instances: [pixels] }));
    expect(answer).toEqual({ predictions: ['It is a 6'] });
  },
  explainer: async (url) => {
    const instances = [pixels.map((ink) => ink / 16)];
    const answer = await post(
      `${url}/v2/models/digits/explain`,
      JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: instances[0] }] }),
    );
    expect(answer).toMatchObject({ outputs: [{ name: 'drop', datatype: 'FP32', shape: [1, 64] }] });
    expect(JSON.stringify(await post(`${url}/v1/models/digits:explain`, JSON.stringify({ instances })))).toMatch(/\d\.\d/);
  },
  image: async (url) => {
    const answer = await post(`${url}/v2/models/digits/infer`, await png(), { 'content-type': 'image/png' });
    expect(answer).toMatchObject({ digit: 6 });
  },
};

describe('a project that init wrote', () => {
  it.each(Object.keys(CASES))('%s: passes its own tests, serves, and answers', { timeout: 180_000 }, async (template) => {
    const name = `my-${template}`;
    run('node', [join(packed, 'dist/main.cjs'), 'init', name, `--template=${template}`], folder);
    const project = join(folder, name);
    expect(run('npm', ['test'], project)).toMatch(/# fail 0/);
    const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as { scripts: { start: string } };
    const flags = scripts.start.split(' ').filter((word) => word.startsWith('--') && !/^--(watch|predictor_host|model_name)/.test(word));
    const elsewhere = scripts.start.includes('--predictor_host') ? [`--predictor_host=${new URL(predictor.url).host}`] : [];
    const server = await startServerProcess(['--model_name=digits', ...flags, ...elsewhere], { cwd: project, main: join(packed, 'dist/main.cjs') });
    await CASES[template]?.(server.url);
    expect(await server.stop()).toBe(0);
  });

  it('packs its handler into one file, which serves alike', { timeout: 180_000 }, async () => {
    run('node', [join(packed, 'dist/main.cjs'), 'init', 'packed-one'], folder);
    const project = join(folder, 'packed-one');
    expect(run('npm', ['run', 'pack'], project)).toContain('Wrote handler.mjs');
    const args = ['--model_name=digits', `--model_dir=${join(project, 'model')}`, `--handler=${join(project, 'handler.mjs')}`];
    const server = await startServerProcess(args, { cwd: scratch, main: join(packed, 'dist/main.cjs') });
    await CASES['predictor']?.(server.url);
    expect(await server.stop()).toBe(0);
  });
});

function run(program: string, args: readonly string[], cwd: string): string {
  const env = { PATH: process.env['PATH'], HOME: scratch, npm_config_loglevel: 'error' };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', env, timeout: 120_000 });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}
