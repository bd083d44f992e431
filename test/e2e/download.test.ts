import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findUnfinishedDownload } from '../../src/storage/index.ts';
import { BUCKET, S3 } from '../support/storage-dialects.ts';
import { StorageServer } from '../support/storage-server.ts';

const MAIN = resolve(import.meta.dirname, '../../dist/main.cjs');
const KILLS = 20;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

describe('kserve-node download', () => {
  const server = new StorageServer(S3);
  const files: Readonly<Record<string, Buffer>> = Object.fromEntries([
    ['large.bin', randomBytes(20 * 1024 * 1024)],
    ...Array.from({ length: 60 }, (_, i) => [`part-${i % 3}/${i}.bin`, randomBytes(50_000)]),
  ] as [string, Buffer][]);
  let env: Record<string, string>;
  let dir: string;

  beforeAll(async () => {
    const endpoint = await server.start();
    env = {
      PATH: process.env['PATH'] ?? '',
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: 'id',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_DEFAULT_REGION: 'us-east-1',
    };
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.reset();
    for (const [path, bytes] of Object.entries(files)) server.objects.set(`m/${path}`, bytes);
    dir = mkdtempSync(join(tmpdir(), 'kserve-node-download-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  const start = (...args: string[]): ChildProcess => spawn(process.execPath, [MAIN, 'download', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const run = async (...args: string[]): Promise<Ended> => {
    const child = start(...args);
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out, err };
  };
  const isWhole = (dest: string): boolean =>
    Object.entries(files).every(([path, bytes]) => existsSync(join(dest, path)) && readFileSync(join(dest, path)).equals(bytes));

  it('brings pairs of sources and destinations and reports each in a line of JSON', async () => {
    server.objects.set('other/model.onnx', Buffer.from('M'));
    const [one, two] = [join(dir, 'a/one'), join(dir, 'two')];
    const { code, out, err } = await run(`s3://${BUCKET}/m`, one, `s3://${BUCKET}/other/model.onnx`, two);
    expect(err.split('\n').filter((line) => line !== '' && !line.includes('"Downloading"'))).toEqual([]);
    expect(code).toBe(0);
    expect(isWhole(one)).toBe(true);
    expect(readFileSync(join(two, 'model.onnx'), 'utf8')).toBe('M');
    const reports = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(reports).toMatchObject([
      { message: 'Downloaded', destination: one, files: 61, unverified_files: 0 },
      { destination: two, files: 1, bytes: 1 },
    ]);
  });

  it.each([
    [['s3://models/m'], 2, /^expected pairs of SRC and DEST, got 1 arguments: write kserve-node download SRC DEST/],
    [['s3://models/m', 'DEST', '--expect_sha'], 2, /^unknown flag --expect_sha, did you mean --expect_sha256\?/],
    [['s3://nowhere/m', 'DEST'], 1, /^Cannot download s3:\/\/nowhere\/m: S3 bucket "nowhere" does not exist \(404 NoSuchBucket\), check its name/],
    [['ftp://x/m', 'DEST'], 1, /^Cannot download ftp:\/\/x\/m: expected a URI of a known scheme/],
    [
      ['s3://models/nothing', 'DEST'],
      1,
      /^Cannot download s3:\/\/models\/nothing: no model found in "nothing" of bucket "models" \(200, an empty listing\)/,
    ],
  ])('refuses %j with code %i and one line', async (args, code, message) => {
    const ended = await run(...args.map((arg) => (arg === 'DEST' ? join(dir, 'dest') : arg)));
    expect(ended.code).toBe(code);
    expect(ended.err).toMatch(message);
    expect(ended.err.trim().split('\n')).toHaveLength(1);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('leaves nothing when it is told to stop', async () => {
    const child = start(`s3://${BUCKET}/m`, join(dir, 'dest'));
    const [code] = await new Promise<[number | null]>((done) => {
      server.onRead = () => {
        child.kill('SIGTERM');
      };
      child.once('close', (ended: number | null) => {
        done([ended]);
      });
    });
    expect(code).toBe(1);
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([['a new directory'], ['a directory that is there']])(
    'killed at %s at random points, it never leaves what passes for whole and is not',
    async (kind) => {
      const dest = join(dir, 'dest');
      const before = performance.now();
      expect((await run(`s3://${BUCKET}/m`, join(dir, 'timed'))).code).toBe(0);
      const tookMs = performance.now() - before;
      let unfinished = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const isThere = kind !== 'a new directory';
        if (isThere) mkdirSync(dest, { recursive: true });
        if (isThere) writeFileSync(join(dest, 'own.txt'), 'mine');
        const child = start(`s3://${BUCKET}/m`, dest);
        const ended = once(child, 'close');
        await Promise.race([sleep(Math.random() * tookMs), ended]);
        child.kill('SIGKILL');
        await ended;
        const isMarked = (await findUnfinishedDownload(dest)) !== undefined;
        if (isMarked) unfinished++;
        const isAsBefore = isThere ? readdirSync(dest).join() === 'own.txt' : !existsSync(dest);
        expect(isMarked || isAsBefore || isWhole(dest)).toBe(true);
        // What a killed download left must not be in the way of the next one, most of the time not even that of a finished one.
        if (kill % 4 === 3) rmSync(dest, { recursive: true, force: true });
      }
      if (kind !== 'a new directory') expect(unfinished).toBeGreaterThan(0);
      rmSync(dest, { recursive: true, force: true });
      const last = await run(`s3://${BUCKET}/m`, dest);
      expect(last).toMatchObject({ code: 0 });
      expect(isWhole(dest)).toBe(true);
      expect(readdirSync(dir).sort()).toEqual(['dest', 'timed']);
      expect(statSync(dest).isDirectory()).toBe(true);
    },
    120_000,
  );
});
