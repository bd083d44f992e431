import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { startLoad } from '../support/handler-repository.ts';
import { MAIN, startServerProcess, type ServerProcess } from '../support/server.ts';
import { BUCKET, S3 } from '../support/storage-dialects.ts';
import { StorageServer } from '../support/storage-server.ts';
import { until } from '../support/until.ts';
import { modelDir } from '../support/vectors.ts';

const MODEL = readFileSync(join(modelDir('iris-shap'), 'model.onnx'));
const OTHER = readFileSync(join(modelDir('sklearn-logreg'), 'model.onnx'));
const BROKEN = Buffer.from('this is no model');
const URI = `s3://${BUCKET}/m`;
const REQUEST = { instances: [[5.1, 3.5, 1.4, 0.2]] };

const store = new StorageServer(S3);
let env: Record<string, string>;
let dir: string;
let running: ServerProcess[] = [];

beforeAll(async () => {
  env = { AWS_ENDPOINT_URL: await store.start(), AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_DEFAULT_REGION: 'us-east-1' };
});
afterAll(() => store.stop());
beforeEach(() => {
  store.reset();
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-uri-'));
  mkdirSync(join(dir, 'tmp'));
  put({ 'm/1/model.onnx': MODEL });
});
afterEach(() => {
  for (const server of running) server.process.kill('SIGKILL');
  running = [];
  rmSync(dir, { recursive: true, force: true });
});

function put(objects: Readonly<Record<string, Buffer>>): void {
  for (const [key, bytes] of Object.entries(objects)) store.objects.set(key, bytes);
}

const cacheFlag = (): string => `--model_cache=${join(dir, 'cache')}`;

/** Of the model in the store, or of the directory that is named. */
async function serve(
  flags: readonly string[] = [],
  { modelDir: from = URI, ...options }: { readonly modelDir?: string; readonly isLoose?: boolean; readonly env?: Record<string, string> } = {},
): Promise<ServerProcess> {
  const server = await startServerProcess([`--model_dir=${from}`, '--model_name=iris', ...flags], {
    ...options,
    env: { ...env, TMPDIR: join(dir, 'tmp'), ...options.env },
  });
  running.push(server);
  return server;
}

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env['PATH'] ?? '', ...env, TMPDIR: join(dir, 'tmp') } });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

/** A start that ends by itself, and what it wrote that is no record of the log. */
async function refused(flags: readonly string[]): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
  const { code, err } = await run(['serve', '--http_port=0', '--grpc_port=0', ...flags]);
  return { code, lines: err.split('\n').filter((line) => line !== '' && !line.startsWith('{')) };
}

async function predict(server: ServerProcess): Promise<number> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(REQUEST) };
  const response = await fetch(`${server.url}/v1/models/iris:predict`, init);
  await response.arrayBuffer();
  return response.status;
}

async function versionOf(server: ServerProcess): Promise<string> {
  const index = (await (await fetch(`${server.url}/v2/repository/index`, { method: 'POST', body: '{}' })).json()) as {
    version: string;
    state: string;
  }[];
  return index.map(({ version, state }) => `${version} ${state}`).join();
}

/** All that lies in the directory of temporary files and in the cache, except for the folders that a cache always has. */
function leftovers(): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !/^(cache|tmp)(\/kserve-node-\d+(\/(entries|staging|locks|uses))?)?$/.test(path) && !path.includes('node-compile-cache'),
  );
}

function entriesOfCache(): string[] {
  const [user = ''] = readdirSync(join(dir, 'cache'));
  return readdirSync(join(dir, 'cache', user, 'entries')).map((key) => join(dir, 'cache', user, 'entries', key));
}

describe('serve --model_dir=s3://…', () => {
  it('downloads the model, serves it, and leaves nothing behind', async () => {
    const server = await serve();
    expect(await predict(server)).toBe(200);
    expect(store.reads.map(({ key }) => key)).toEqual(['m/1/model.onnx']);
    expect(server.output()).toContain('Model downloaded');
    expect(await server.stop()).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  it.each([
    [
      's3://nowhere/m',
      /^Cannot download s3:\/\/nowhere\/m: S3 bucket "nowhere" does not exist \(404 NoSuchBucket\), check its name and AWS_ENDPOINT_URL$/,
    ],
    ['ftp://host/m', /^Cannot download ftp:\/\/host\/m: expected a URI of a known scheme .*$/],
    [
      `s3://${BUCKET}/none`,
      /^Cannot download s3:\/\/models\/none: no model found in "none" of bucket "models" \(200, an empty listing\), check the path$/,
    ],
  ])('does not start for %s, says why in one line and leaves nothing', async (uri, line) => {
    const { code, lines } = await refused([`--model_dir=${uri}`]);
    expect(code).toBe(1);
    expect(lines).toEqual([expect.stringMatching(line)]);
    expect(leftovers()).toEqual([]);
  });

  it('does not start when the store denies the listing or an object', async () => {
    store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await refused([`--model_dir=${URI}`]);
    expect([denied.code, denied.lines]).toEqual([1, [expect.stringMatching(/^Cannot download s3:\/\/models\/m: .*403.*$/) as unknown]]);
    store.refusal = undefined;
    store.faults.push({ kind: 'status', status: 403, code: 'AccessDenied' });
    const unread = await refused([`--model_dir=${URI}`]);
    expect(unread.code).toBe(1);
    expect(unread.lines.at(-1)).toMatch(/^Cannot download s3:\/\/models\/m: .*403/);
    expect(leftovers()).toEqual([]);
  });

  it('checks a pin, and says what does not pass', async () => {
    const { code, lines } = await refused([`--model_dir=s3://${BUCKET}/m/1/model.onnx`, `--expect_sha256=${'0'.repeat(64)}`]);
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatch(/expected SHA-256 0{64} for "model\.onnx", got [0-9a-f]{64}/);
    expect(leftovers()).toEqual([]);
    expect((await refused([`--model_dir=${dir}`, `--expect_sha256=${'0'.repeat(64)}`])).code).toBe(2);
  });

  it('ends at once and leaves nothing when it is told to stop while it downloads', async () => {
    store.faults.push({ kind: 'stall', afterBytes: 100 });
    const server = await serve([], { isLoose: true });
    await until(() => store.reads.length > 0);
    const toldAt = performance.now();
    expect(await server.stop()).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(2000);
    expect(leftovers()).toEqual([]);
  });

  it('starts anew after it was killed while it downloaded, and cleans up', async () => {
    store.faults.push({ kind: 'stall', afterBytes: 100 });
    const killed = await serve([], { isLoose: true });
    await until(() => store.reads.length > 0);
    killed.process.kill('SIGKILL');
    await killed.exit;
    const server = await serve();
    expect(await predict(server)).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  it('refuses a directory with an unfinished download', async () => {
    const model = join(dir, 'model');
    mkdirSync(join(model, '.kserve-node-download'), { recursive: true });
    writeFileSync(join(model, 'model.onnx'), MODEL);
    const { code, lines } = await refused([`--model_dir=${model}`]);
    expect([code, lines]).toEqual([
      1,
      [expect.stringMatching(/^Cannot serve .*\/model: it holds an unfinished download .*, let it end or run it again, which cleans up$/)],
    ]);
    rmSync(join(model, '.kserve-node-download'), { recursive: true });
    const server = await serve([], { modelDir: model });
    expect(await predict(server)).toBe(200);
  });
});

describe('--model_cache', () => {
  it('starts a second time without reading an object, and has what is there copied by download', async () => {
    const first = await serve([cacheFlag()]);
    expect(await first.stop()).toBe(0);
    expect(store.reads).toHaveLength(1);
    const second = await serve([cacheFlag()]);
    expect(await predict(second)).toBe(200);
    expect(second.output()).toContain('Model is in the cache');
    const download = await run(['download', URI, join(dir, 'dest'), cacheFlag()]);
    expect([download.code, JSON.parse(download.out)]).toMatchObject([0, { bytes: 0, files: 1, cached: true, unverified_files: 0 }]);
    expect(readFileSync(join(dir, 'dest/1/model.onnx')).equals(MODEL)).toBe(true);
    // A file of its own: who owns the destination cannot write to the cache.
    expect(statSync(join(dir, 'dest/1/model.onnx'))).toMatchObject({ nlink: 1 });
    expect(store.reads).toHaveLength(1);
  });

  it('downloads once for many that start together', async () => {
    const servers = await Promise.all(Array.from({ length: 4 }, () => serve([cacheFlag(), '--enable_grpc=false'])));
    expect(await Promise.all(servers.map(predict))).toEqual([200, 200, 200, 200]);
    expect(store.reads).toHaveLength(1);
    expect(entriesOfCache()).toHaveLength(1);
  });

  it('does not give a model to somebody whom the store denies it', async () => {
    const first = await serve([cacheFlag()]);
    await first.stop();
    store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await refused([`--model_dir=${URI}`, cacheFlag()]);
    expect([denied.code, denied.lines.at(-1)]).toEqual([1, expect.stringMatching(/^Cannot download s3:\/\/models\/m: .*403/)]);
    const download = await run(['download', URI, join(dir, 'dest'), cacheFlag()]);
    expect([download.code, existsSync(join(dir, 'dest'))]).toEqual([1, false]);
  });

  it('fetches a damaged model again', async () => {
    const first = await serve([cacheFlag()]);
    await first.stop();
    const [entry = ''] = entriesOfCache();
    rmSync(join(entry, 'files/1/model.onnx'));
    writeFileSync(join(entry, 'files/1/model.onnx'), MODEL.subarray(1));
    const second = await serve([cacheFlag()]);
    expect(await predict(second)).toBe(200);
    expect(second.output()).toContain('A cached model is damaged');
    expect(store.reads).toHaveLength(2);
  });

  it('stays within its bound: what was not used for longest goes, what is served stays', async () => {
    put({ 'other/model.onnx': OTHER, 'third/model.onnx': OTHER });
    const bound = `--model_cache_bytes=${MODEL.length + OTHER.length}`;
    const serving = await serve([cacheFlag(), bound]);
    for (const name of ['other', 'third']) {
      const { code } = await run(['download', `s3://${BUCKET}/${name}`, join(dir, name), cacheFlag(), bound]);
      expect(code).toBe(0);
    }
    expect(entriesOfCache()).toHaveLength(2);
    const again = await serve([cacheFlag(), bound]);
    expect(again.output()).toContain('Model is in the cache');
    expect(await predict(serving)).toBe(200);
    // Does not fit: it is served all the same, and not kept.
    put({ 'm/1/large.bin': Buffer.alloc(10_000) });
    const large = await serve([cacheFlag(), bound]);
    expect(await predict(large)).toBe(200);
    expect(await large.stop()).toBe(0);
    expect(entriesOfCache()).toHaveLength(2);
    expect(leftovers().filter((path) => path.startsWith('tmp'))).toEqual([]);
  });

  it('takes over from one that was killed while it downloaded', async () => {
    store.faults.push({ kind: 'stall', afterBytes: 100 });
    const killed = await serve([cacheFlag()], { isLoose: true });
    await until(() => store.reads.length > 0);
    const waiting = serve([cacheFlag()]);
    killed.process.kill('SIGKILL');
    const server = await waiting;
    expect(await predict(server)).toBe(200);
    expect(entriesOfCache()).toHaveLength(1);
    expect(leftovers().filter((path) => /staging\/|locks\//.test(path))).toEqual([]);
  });
});

describe('--model_poll', () => {
  it('switches to a new version under load without a failed request, and removes the old one', async () => {
    const server = await serve(['--model_poll=0.2s']);
    const load = startLoad(8, async () => {
      const status = await predict(server);
      return status === 200 ? undefined : status;
    });
    await until(() => load.answered() > 50);
    put({ 'm/2/model.onnx': MODEL });
    await server.waitFor(/"version":"2".*"message":"Model loaded"/);
    const answered = load.answered();
    await until(() => load.answered() > answered + 50);
    expect(await load.stop()).toEqual([]);
    expect(await versionOf(server)).toBe('2 READY');
    await until(() => leftovers().filter((path) => path.endsWith('/files')).length === 1);
    expect(await server.stop()).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  it('keeps what serves when the new version is broken, corrupt or denied, says so, and takes the next good one', async () => {
    const server = await serve(['--model_poll=0.1', '--isolation=process']);
    put({ 'm/2/model.onnx': BROKEN });
    await server.waitFor(/Model could not be loaded/);
    expect(await versionOf(server)).toBe('1 READY');
    await untilMetric(server.url, 'kserve_node_model_updates_total{model="iris",outcome="failed"}', 1);
    store.objects.delete('m/2/model.onnx');
    store.refusal = { status: 403, code: 'AccessDenied' };
    await server.waitFor(/403.*Cannot look for a new version/);
    expect(await predict(server)).toBe(200);
    store.refusal = undefined;
    put({ 'm/3/model.onnx': MODEL });
    await server.waitFor(/"version":"3".*"message":"Model loaded"/);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '3 READY']);
    const failures = (await readMetrics(server.url)).get('kserve_node_model_updates_total{model="iris",outcome="failed"}') ?? 0;
    const lines = server
      .output()
      .split('\n')
      .filter((line) => /could not be loaded|Cannot look/.test(line));
    expect(lines).toHaveLength(failures);
  });

  it('loads at once what the repository API asks for', async () => {
    const server = await serve();
    put({ 'm/2/model.onnx': MODEL });
    const load = (): Promise<Response> => fetch(`${server.url}/v2/repository/models/iris/load`, { method: 'POST' });
    expect((await load()).status).toBe(200);
    expect(await versionOf(server)).toBe('2 READY');
    put({ 'm/3/model.onnx': BROKEN });
    const refusedLoad = await load();
    expect(refusedLoad.status).toBe(503);
    store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await load();
    expect([denied.status, await denied.text()]).toEqual([503, expect.stringContaining('403')]);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '2 READY']);
  });

  it('notices a new version in a plain directory', async () => {
    const model = join(dir, 'model');
    mkdirSync(join(model, '1'), { recursive: true });
    writeFileSync(join(model, '1/model.onnx'), MODEL);
    const server = await serve(['--model_poll=0.2'], { modelDir: model });
    mkdirSync(join(model, '2'));
    writeFileSync(join(model, '2/model.onnx'), BROKEN);
    await server.waitFor(/Model could not be loaded/).catch(() => undefined);
    writeFileSync(join(model, '2/model.onnx'), MODEL);
    await server.waitFor(/"version":"2".*"message":"Model loaded"/);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '2 READY']);
  });
});
