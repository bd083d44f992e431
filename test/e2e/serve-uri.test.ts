import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startLoad } from '../support/handler-repository.ts';
import { BROKEN_MODEL, MODEL, MODEL_URI, openModelStore, predict, versionOf } from '../support/model-store.ts';
import { BUCKET } from '../support/storage-dialects.ts';
import { until } from '../support/until.ts';

const models = openModelStore();

describe('serve --model_dir=s3://…', () => {
  it('downloads the model, serves it, and leaves nothing behind', async () => {
    const server = await models.serve();
    expect(await predict(server)).toBe(200);
    expect(models.store.reads.map(({ key }) => key)).toEqual(['m/1/model.onnx']);
    await expect.poll(() => server.output()).toContain('Model downloaded');
    expect(await server.stop()).toBe(0);
    expect(models.leftovers()).toEqual([]);
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
    const { code, lines } = await models.refused([`--model_dir=${uri}`]);
    expect(code).toBe(2);
    expect(lines).toEqual([expect.stringMatching(line)]);
    expect(models.leftovers()).toEqual([]);
  });

  it('ends at once and leaves nothing when it is told to stop while it downloads', async () => {
    models.store.faults.push({ kind: 'stall', afterBytes: 100 });
    const server = await models.serve([], { isLoose: true });
    await until(() => models.store.reads.length > 0).catch((error: unknown) => {
      throw new Error(`the server has read nothing: ${server.output()}`, { cause: error });
    });
    const toldAt = performance.now();
    expect(await server.stop()).toBe(0);
    // Far less than the grace period, and than the download would take.
    expect(performance.now() - toldAt).toBeLessThan(10_000);
    expect(models.leftovers()).toEqual([]);
  });

  it('refuses a directory with an unfinished download', async () => {
    const model = join(models.dir, 'model');
    mkdirSync(join(model, '.kserve-node-download'), { recursive: true });
    writeFileSync(join(model, 'model.onnx'), MODEL);
    const { code, lines } = await models.refused([`--model_dir=${model}`]);
    expect([code, lines]).toEqual([
      2,
      [expect.stringMatching(/^Cannot serve .*\/model: it holds an unfinished download .*, let it end or run it again, which cleans up$/)],
    ]);
    rmSync(join(model, '.kserve-node-download'), { recursive: true });
    const server = await models.serve([], { modelDir: model });
    expect(await predict(server)).toBe(200);
  });
});

describe('--model_cache', () => {
  it('starts a second time without reading an object, and has what is there copied by download', async () => {
    const first = await models.serve([models.cacheFlag]);
    expect(await first.stop()).toBe(0);
    expect(models.store.reads).toHaveLength(1);
    const second = await models.serve([models.cacheFlag]);
    expect(await predict(second)).toBe(200);
    await expect.poll(() => second.output()).toContain('Model is in the cache');
    const download = await models.run(['download', MODEL_URI, join(models.dir, 'dest'), models.cacheFlag]);
    expect([download.code, JSON.parse(download.out)]).toMatchObject([0, { bytes: 0, files: 1, cached: true, unverified_files: 0 }]);
    expect(readFileSync(join(models.dir, 'dest/1/model.onnx')).equals(MODEL)).toBe(true);
    // A file of its own: who owns the destination cannot write to the cache.
    expect(statSync(join(models.dir, 'dest/1/model.onnx'))).toMatchObject({ nlink: 1 });
    expect(models.store.reads).toHaveLength(1);
  });

  it('does not give a model to somebody whom the store denies it', async () => {
    const first = await models.serve([models.cacheFlag]);
    await first.stop();
    models.store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await models.refused([`--model_dir=${MODEL_URI}`, models.cacheFlag]);
    expect([denied.code, denied.lines.at(-1)]).toEqual([2, expect.stringMatching(/^Cannot download s3:\/\/models\/m: .*403/)]);
    const download = await models.run(['download', MODEL_URI, join(models.dir, 'dest'), models.cacheFlag]);
    expect([download.code, existsSync(join(models.dir, 'dest'))]).toEqual([1, false]);
  });
});

describe('--model_poll', () => {
  it('switches to a new version under load without a failed request, and removes the old one', async () => {
    const server = await models.serve(['--model_poll=0.2s']);
    const load = startLoad(8, async () => {
      const status = await predict(server);
      return status === 200 ? undefined : status;
    });
    await until(() => load.answered() > 50);
    models.put({ 'm/2/model.onnx': MODEL });
    await server.waitFor(/"version":"2".*"message":"Model loaded"/);
    const answered = load.answered();
    await until(() => load.answered() > answered + 50);
    expect(await load.stop()).toEqual([]);
    expect(await versionOf(server)).toBe('2 READY');
    await until(() => models.leftovers().filter((path) => path.endsWith('/files')).length === 1);
    expect(await server.stop()).toBe(0);
    expect(models.leftovers()).toEqual([]);
  });

  it('loads at once what the repository API asks for', async () => {
    const server = await models.serve();
    models.put({ 'm/2/model.onnx': MODEL });
    const load = (): Promise<Response> => fetch(`${server.url}/v2/repository/models/iris/load`, { method: 'POST' });
    expect((await load()).status).toBe(200);
    expect(await versionOf(server)).toBe('2 READY');
    models.put({ 'm/3/model.onnx': BROKEN_MODEL });
    const refusedLoad = await load();
    expect(refusedLoad.status).toBe(503);
    models.store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await load();
    expect([denied.status, await denied.text()]).toEqual([503, expect.stringContaining('403')]);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '2 READY']);
  });

  it('notices a new version in a plain directory', async () => {
    const model = join(models.dir, 'model');
    mkdirSync(join(model, '1'), { recursive: true });
    writeFileSync(join(model, '1/model.onnx'), MODEL);
    const server = await models.serve(['--model_poll=0.2'], { modelDir: model });
    mkdirSync(join(model, '2'));
    writeFileSync(join(model, '2/model.onnx'), BROKEN_MODEL);
    await server.waitFor(/Model could not be loaded/).catch(() => undefined);
    writeFileSync(join(model, '2/model.onnx'), MODEL);
    await server.waitFor(/"version":"2".*"message":"Model loaded"/);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '2 READY']);
  });
});
