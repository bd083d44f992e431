import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { BROKEN_MODEL, MODEL, MODEL_URI, openModelStore, OTHER_MODEL, predict, versionOf } from '../support/model-store.ts';
import { BUCKET } from '../support/storage-dialects.ts';
import { until } from '../support/until.ts';

const models = openModelStore();

describe('serve --model_dir=s3://… in trouble', () => {
  it('does not start when the store denies the listing or an object', async () => {
    models.store.refusal = { status: 403, code: 'AccessDenied' };
    const denied = await models.refused([`--model_dir=${MODEL_URI}`]);
    expect([denied.code, denied.lines]).toEqual([2, [expect.stringMatching(/^Cannot download s3:\/\/models\/m: .*403.*$/) as unknown]]);
    models.store.refusal = undefined;
    models.store.faults.push({ kind: 'status', status: 403, code: 'AccessDenied' });
    const unread = await models.refused([`--model_dir=${MODEL_URI}`]);
    expect(unread.code).toBe(2);
    expect(unread.lines.at(-1)).toMatch(/^Cannot download s3:\/\/models\/m: .*403/);
    expect(models.leftovers()).toEqual([]);
  });

  it('checks a pin, and says what does not pass', async () => {
    const { code, lines } = await models.refused([`--model_dir=s3://${BUCKET}/m/1/model.onnx`, `--expect_sha256=${'0'.repeat(64)}`]);
    expect(code).toBe(2);
    expect(lines.at(-1)).toMatch(/expected SHA-256 0{64} for "model\.onnx", got [0-9a-f]{64}/);
    expect(models.leftovers()).toEqual([]);
    expect((await models.refused([`--model_dir=${models.dir}`, `--expect_sha256=${'0'.repeat(64)}`])).code).toBe(2);
  });

  it('starts anew after it was killed while it downloaded, and cleans up', async () => {
    models.store.faults.push({ kind: 'stall', afterBytes: 100 });
    const killed = await models.serve([], { isLoose: true });
    await until(() => models.store.reads.length > 0);
    killed.process.kill('SIGKILL');
    await killed.exit;
    const server = await models.serve();
    expect(await predict(server)).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(models.leftovers()).toEqual([]);
  });
});

describe('--model_cache in trouble', () => {
  it('downloads once for many that start together', async () => {
    const servers = await Promise.all(Array.from({ length: 4 }, () => models.serve([models.cacheFlag, '--enable_grpc=false'])));
    expect(await Promise.all(servers.map(predict))).toEqual([200, 200, 200, 200]);
    expect(models.store.reads).toHaveLength(1);
    expect(models.entriesOfCache()).toHaveLength(1);
  });

  it('fetches a damaged model again', async () => {
    const first = await models.serve([models.cacheFlag]);
    await first.stop();
    const [entry = ''] = models.entriesOfCache();
    rmSync(join(entry, 'files/1/model.onnx'));
    writeFileSync(join(entry, 'files/1/model.onnx'), MODEL.subarray(1));
    const second = await models.serve([models.cacheFlag]);
    expect(await predict(second)).toBe(200);
    await expect.poll(() => second.output()).toContain('A cached model is damaged');
    expect(models.store.reads).toHaveLength(2);
  });

  it('stays within its bound: what was not used for longest goes, what is served stays', async () => {
    models.put({ 'other/model.onnx': OTHER_MODEL, 'third/model.onnx': OTHER_MODEL });
    const bound = `--model_cache_bytes=${MODEL.length + OTHER_MODEL.length}`;
    const serving = await models.serve([models.cacheFlag, bound]);
    for (const name of ['other', 'third']) {
      const { code } = await models.run(['download', `s3://${BUCKET}/${name}`, join(models.dir, name), models.cacheFlag, bound]);
      expect(code).toBe(0);
    }
    expect(models.entriesOfCache()).toHaveLength(2);
    const again = await models.serve([models.cacheFlag, bound]);
    await expect.poll(() => again.output()).toContain('Model is in the cache');
    expect(await predict(serving)).toBe(200);
    // Does not fit: it is served all the same, and not kept.
    models.put({ 'm/1/large.bin': Buffer.alloc(10_000) });
    const large = await models.serve([models.cacheFlag, bound]);
    expect(await predict(large)).toBe(200);
    expect(await large.stop()).toBe(0);
    expect(models.entriesOfCache()).toHaveLength(2);
    expect(models.leftovers().filter((path) => path.startsWith('tmp'))).toEqual([]);
  });

  it('takes over from one that was killed while it downloaded', async () => {
    models.store.faults.push({ kind: 'stall', afterBytes: 100 });
    const killed = await models.serve([models.cacheFlag], { isLoose: true });
    await until(() => models.store.reads.length > 0);
    const waiting = models.serve([models.cacheFlag]);
    killed.process.kill('SIGKILL');
    const server = await waiting;
    expect(await predict(server)).toBe(200);
    expect(models.entriesOfCache()).toHaveLength(1);
    expect(models.leftovers().filter((path) => /staging\/|locks\//.test(path))).toEqual([]);
  });
});

describe('--model_poll in trouble', () => {
  it('keeps what serves when the new version is broken, corrupt or denied, says so, and takes the next good one', async () => {
    const server = await models.serve(['--model_poll=0.1', '--isolation=process']);
    models.put({ 'm/2/model.onnx': BROKEN_MODEL });
    await server.waitFor(/Model could not be loaded/);
    expect(await versionOf(server)).toBe('1 READY');
    await untilMetric(server.url, 'kserve_node_model_updates_total{model="iris",outcome="failed"}', 1);
    models.store.objects.delete('m/2/model.onnx');
    models.store.refusal = { status: 403, code: 'AccessDenied' };
    await server.waitFor(/403.*Cannot look for a new version/);
    expect(await predict(server)).toBe(200);
    models.store.refusal = undefined;
    models.put({ 'm/3/model.onnx': MODEL });
    await server.waitFor(/"version":"3".*"message":"Model loaded"/);
    expect([await predict(server), await versionOf(server)]).toEqual([200, '3 READY']);
    const failures = (await readMetrics(server.url)).get('kserve_node_model_updates_total{model="iris",outcome="failed"}') ?? 0;
    const lines = server
      .output()
      .split('\n')
      .filter((line) => /could not be loaded|Cannot look/.test(line));
    expect(lines).toHaveLength(failures);
  });
});
